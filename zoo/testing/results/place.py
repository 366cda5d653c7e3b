"""Find the place in the code of a plugin, or of its upstream library, that a failed check is about."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from types import CodeType, FrameType

from zoo.registry.plugins.place import BETWEEN, find_definition, format_place, is_foreign, is_foreign_file

#: A file and a line in parentheses, as in ``(/site-packages/acme/nets.py:12)``.
PLACE = re.compile(r"\(([^()\s][^()]*?\.\w+:\d+)\)")


def find_caller() -> str:
    """Return the file and line of the innermost foreign frame that is running, or an empty string."""
    frame: FrameType | None = sys._getframe(1)  # noqa: SLF001  # the only way
    while frame is not None:
        if is_foreign(frame):
            return format_place(frame, frame.f_lineno)
        frame = frame.f_back
    return ""


def find_function(function: Callable[..., object]) -> str:
    """Return the file and line of a function of a plugin or of its upstream, or an empty string."""
    code: CodeType | None = getattr(function, "__code__", None)
    if code is not None and not is_foreign_file(code.co_filename):
        return ""
    module = str(getattr(function, "__module__", "")).partition(".")[0]
    return "" if module in BETWEEN else find_definition(function).strip(" ()")
