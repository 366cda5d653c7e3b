"""Restore the settings and functions that a plugin changed while it was loading, and report what it changed."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

#: Modules whose functions zoo needs after a plugin has been loaded. Checking all modules would take too long.
_MODULES = (
    "sys", "os", "os.path", "io", "json", "threading", "traceback", "shutil", "importlib", "inspect", "click", "pluggy",
)  # fmt: skip
#: Python's default recursion limit.
_DEFAULT_CALLS = 1000


@contextmanager
def keep_settings(faults: list[str]) -> Iterator[None]:
    """Restore the settings of the process, such as the umask and the limit on open files."""
    before = {name: read() for name, (read, _) in _SETTINGS.items()}
    try:
        yield
    finally:
        for name, (read, restore) in _SETTINGS.items():
            if read() != before[name]:
                restore(before[name])
                faults.append(f"changes {name}")


@contextmanager
def keep_functions(faults: list[str]) -> Iterator[None]:
    """Restore the functions and classes of the modules that zoo needs."""
    modules = {name: sys.modules[name] for name in _MODULES if name in sys.modules}
    before = {name: dict(vars(module)) for name, module in modules.items()}
    try:
        yield
    finally:
        for name, module in modules.items():
            now = vars(module)
            if now == before[name]:  # much faster than the loop
                continue
            for attribute, value in before[name].items():
                if now.get(attribute) is not value and callable(value):
                    now[attribute] = value
                    faults.append(f"replaces {name}.{attribute}")


@contextmanager
def keep_hooks(faults: list[str]) -> Iterator[None]:
    """Refuse audit hooks, which cannot be removed, and restore removed import hooks. A plugin may add those."""

    def refuse(_hook: object) -> None:
        faults.append("adds an audit hook")

    add: Any = sys.addaudithook
    lists: dict[str, list[Any]] = {"meta_path": sys.meta_path, "path_hooks": sys.path_hooks}
    before = {name: [*hooks] for name, hooks in lists.items()}
    setattr(sys, "addaudithook", refuse)  # noqa: B010  # mypy refuses the assignment
    try:
        yield
    finally:
        setattr(sys, "addaudithook", add)  # noqa: B010  # as above
        for name, hooks in lists.items():
            if (
                getattr(sys, name, None) is not hooks
                or [hook for hook in hooks if hook in before[name]] != before[name]
            ):
                hooks[:] = before[name]
                setattr(sys, name, hooks)
                sys.path_importer_cache.clear()  # It may lack the finders of the hooks that were missing.
                faults.append(f"removes hooks from sys.{name}")


def _read_umask() -> int:
    umask = os.umask(0)
    os.umask(umask)
    return umask


def _read_signal_mask() -> set[int]:
    return signal.pthread_sigmask(signal.SIG_BLOCK, ())


def _restore_signal_mask(mask: set[int]) -> None:
    signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def _read_limits() -> dict[int, tuple[int, int]]:
    import resource

    return {number: resource.getrlimit(number) for number in _list_limits()}


@cache
def _list_limits() -> frozenset[int]:
    import resource

    return frozenset(value for name, value in vars(resource).items() if name.startswith("RLIMIT_"))


def _restore_limits(limits: dict[int, tuple[int, int]]) -> None:
    import resource

    for number, limit in limits.items():
        most = resource.getrlimit(number)[1]
        try:
            resource.setrlimit(number, limit)
        except (ValueError, OSError):  # Only root can raise a hard limit again.
            resource.setrlimit(number, (most, most))


#: Functions that read and restore a setting, by its name in an error message.
_SETTINGS: dict[str, tuple[Callable[[], Any], Callable[[Any], object]]] = {
    "the umask": (_read_umask, os.umask),
    # A higher limit does no harm.
    "the recursion limit": (lambda: min(sys.getrecursionlimit(), _DEFAULT_CALLS), sys.setrecursionlimit),
    "the trace function": (sys.gettrace, sys.settrace),
    "the profile function": (sys.getprofile, sys.setprofile),
}
if sys.platform != "win32":
    _SETTINGS |= {
        "a limit of the process": (_read_limits, _restore_limits),
        "the signal mask": (_read_signal_mask, _restore_signal_mask),
    }
