"""Find places in the code of plugins, so that an error names the line that caused it."""

from __future__ import annotations

import inspect
import sys
import traceback
from collections.abc import Callable
from types import FrameType

#: Packages whose frames may be between zoo and a plugin's code. For example, torch calls the network's ``forward``.
_BETWEEN = frozenset({"zoo", "pluggy", "importlib", "contextlib", "torch"})


def find_place(error: BaseException) -> str:
    """Return the file and line of the innermost frame in the plugin's own package, or an empty string.

    The plugin's package is the package of the first frame outside zoo. Its functions may call torch or upstream.
    """
    own = _list_own([(frame, line) for frame, line in traceback.walk_tb(error.__traceback__)])
    return _format(*own[-1]) if own else ""


def find_definition(function: Callable[..., object]) -> str:
    """Return `` (file:line)`` for a plugin's function, with a leading space, or an empty string."""
    code = getattr(inspect.unwrap(function), "__code__", None)
    return f" ({code.co_filename}:{code.co_firstlineno})" if code else ""


def find_import(module: str) -> tuple[str, str]:
    """Return the name of the module that the plugin's own code imports, and the file and line of that import.

    Args:
        module: Name of the module that is being imported. The plugin imports it directly or through another module.
    """
    frames = [(frame, frame.f_lineno) for frame in _list_callers(sys._getframe(2))]  # noqa: SLF001  # the only way
    own = _list_own(frames)
    if not own:
        return module, ""
    below = [frame for frame, _ in frames[frames.index(own[-1]) + 1 :] if not _is_between(frame)]
    return _read_name(below[0]) if below else module, _format(*own[-1])


def _list_callers(frame: FrameType | None) -> list[FrameType]:
    """List a frame and its callers up to zoo's code that loads a plugin, outermost first."""
    found = []
    while frame and not _read_name(frame).startswith(("zoo.registry.", "zoo.testing.")):
        found.append(frame)
        frame = frame.f_back
    return found[::-1] if frame else []


def _list_own(frames: list[tuple[FrameType, int]]) -> list[tuple[FrameType, int]]:
    """Find the first frame outside zoo, pluggy and Python's import system, and list all frames of its package."""
    outside = [(frame, line) for frame, line in frames if not _is_between(frame)]
    package = _read_name(outside[0][0]).partition(".")[0] if outside else ""
    return [(frame, line) for frame, line in outside if _read_name(frame).partition(".")[0] == package]


def _is_between(frame: FrameType) -> bool:
    return frame.f_code.co_filename.startswith("<frozen") or _read_name(frame).partition(".")[0] in _BETWEEN


def _read_name(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__"))


def _format(frame: FrameType, line: int) -> str:
    return f"{frame.f_code.co_filename}:{line}"
