"""Find the place in the code of a plugin, or of its upstream library, that a failed check is about."""

from __future__ import annotations

import re
import sys
import sysconfig
import traceback
from collections.abc import Callable, Iterable
from functools import cache
from types import CodeType, FrameType

from zoo.registry.plugins.place import find_definition

#: A file and a line in parentheses, as in ``(/site-packages/acme/nets.py:12)``.
PLACE = re.compile(r"\(([^()\s][^()]*?\.\w+:\d+)\)")
#: Packages that call a plugin's code, or that it calls, and whose lines say nothing to its author.
_BETWEEN = frozenset({"zoo", "pluggy", "torch", "pytest", "_pytest", "safetensors", "packaging", "PIL"})


def find_place(error: BaseException, package: str = "") -> str:
    """Return the file and line in foreign code that raised an error, or an empty string if there is none.

    Args:
        error: The error. Its causes count if it has no such frame.
        package: The package whose frames count. Default: the package of the first frame outside zoo and torch, which
            is the plugin or its upstream library.
    """
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, SyntaxError) and seen.filename:
            return f"{seen.filename}:{seen.lineno}"
        if place := _choose(traceback.walk_tb(seen.__traceback__), package):
            return place
        seen = seen.__cause__
    return ""


def find_caller() -> str:
    """Return the file and line of the innermost foreign frame that is running, or an empty string."""
    frame: FrameType | None = sys._getframe(1)  # noqa: SLF001  # the only way
    while frame is not None:
        if _is_foreign(frame):
            return _format(frame, frame.f_lineno)
        frame = frame.f_back
    return ""


def find_function(function: Callable[..., object]) -> str:
    """Return the file and line of a function of a plugin or of its upstream, or an empty string."""
    code: CodeType | None = getattr(function, "__code__", None)
    if code is not None and not _is_foreign_file(code.co_filename):
        return ""
    module = str(getattr(function, "__module__", "")).partition(".")[0]
    return "" if module in _BETWEEN else find_definition(function).strip(" ()")


def _choose(frames: Iterable[tuple[FrameType, int]], package: str) -> str:
    foreign = [(frame, line) for frame, line in frames if _is_foreign(frame)]
    package = package or (_name_package(foreign[0][0]) if foreign else "")
    own = [(frame, line) for frame, line in foreign if _name_package(frame) == package]
    return _format(*own[-1]) if own else ""


def _is_foreign(frame: FrameType) -> bool:
    return _name_package(frame) not in _BETWEEN and _is_foreign_file(frame.f_code.co_filename)


@cache
def _is_foreign_file(file: str) -> bool:
    """Return whether a file belongs to neither Python's own modules nor generated code."""
    is_installed = "site-packages" in file or "dist-packages" in file
    return not file.startswith("<") and (is_installed or not any(map(file.startswith, _list_own_folders())))


@cache
def _list_own_folders() -> tuple[str, ...]:
    return tuple(sorted({sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib")}))


def _name_package(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__")).partition(".")[0]


def _format(frame: FrameType, line: int) -> str:
    return f"{frame.f_code.co_filename}:{line}"
