"""Find places in the code of plugins and their upstream libraries, so that an error names the line that caused it."""

from __future__ import annotations

import inspect
import sys
import sysconfig
import traceback
from collections.abc import Callable, Iterable
from functools import cache
from types import FrameType

#: Packages that call a plugin's code, or that it calls, and whose lines say nothing to its author. For example, torch
#: calls the network's ``forward``.
BETWEEN = frozenset({"zoo", "pluggy", "torch", "pytest", "_pytest", "safetensors", "packaging", "PIL"})


def find_place(error: BaseException, package: str = "") -> str:
    """Return the file and line in foreign code that raised an error, or an empty string if there is none.

    Foreign code is the plugin or its upstream library: neither zoo, nor torch, nor Python's own modules.

    Args:
        error: The error. Its causes count if it has no such frame.
        package: The package whose frames count. Default: the package of the first foreign frame. Its functions may call
            torch or upstream.
    """
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, SyntaxError) and seen.filename:
            return f"{seen.filename}:{seen.lineno}"
        if own := _list_own(traceback.walk_tb(seen.__traceback__), package):
            return format_place(*own[-1])
        seen = seen.__cause__
    return ""


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
    below = [frame for frame, _ in frames[frames.index(own[-1]) + 1 :] if is_foreign(frame)]
    return _read_name(below[0]) if below else module, format_place(*own[-1])


def _list_callers(frame: FrameType | None) -> list[FrameType]:
    """List a frame and its callers up to zoo's code that loads a plugin, outermost first."""
    found = []
    while frame and not _read_name(frame).startswith(("zoo.registry.", "zoo.testing.")):
        found.append(frame)
        frame = frame.f_back
    return found[::-1] if frame else []


def _list_own(frames: Iterable[tuple[FrameType, int]], package: str = "") -> list[tuple[FrameType, int]]:
    """List all foreign frames of a package; by default, that of the first one."""
    foreign = [(frame, line) for frame, line in frames if is_foreign(frame)]
    package = package or (_name_package(foreign[0][0]) if foreign else "")
    return [(frame, line) for frame, line in foreign if _name_package(frame) == package]


def is_foreign(frame: FrameType) -> bool:
    """Return whether a frame belongs to a plugin or to its upstream library."""
    return _name_package(frame) not in BETWEEN and is_foreign_file(frame.f_code.co_filename)


@cache
def is_foreign_file(file: str) -> bool:
    """Return whether a file belongs to neither Python's own modules nor generated code."""
    is_installed = "site-packages" in file or "dist-packages" in file
    return not file.startswith("<") and (is_installed or not any(map(file.startswith, _list_own_folders())))


@cache
def _list_own_folders() -> tuple[str, ...]:
    return tuple(sorted({sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib")}))


def _name_package(frame: FrameType) -> str:
    return _read_name(frame).partition(".")[0]


def _read_name(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__"))


def format_place(frame: FrameType, line: int) -> str:
    """Return a file and a line as ``file:line``."""
    return f"{frame.f_code.co_filename}:{line}"
