"""Let the process exit even if a plugin has left a thread or an exit handler that does not end."""

from __future__ import annotations

import atexit
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from zoo.progress.printable import make_printable

#: Maximum running time, in seconds, of an exit handler that a plugin registered during loading.
LIMIT = 8.0


class _ExitHandler:
    """A function that a plugin registered with `atexit`."""

    def __init__(self, plugin: str, function: Callable[..., object]) -> None:
        self.plugin = plugin
        #: Time at which the function was called; None unless it is running.
        self.started: float | None = None
        self._function = function

    def __call__(self, *arguments: Any, **options: Any) -> None:
        self.started = time.monotonic()
        try:
            self._function(*arguments, **options)
        finally:
            self.started = None

    def __eq__(self, other: object) -> bool:
        """Compare with a function, as `atexit.unregister` does."""
        return self._function == (other._function if isinstance(other, _ExitHandler) else other)

    def __hash__(self) -> int:
        return hash(self._function)


_handlers: list[_ExitHandler] = []
_stray_threads: list[threading.Thread] = []


@contextmanager
def noting_exit_handlers(plugin: str) -> Iterator[None]:
    """Return a context that records the exit handlers that a plugin registers during loading."""
    register = atexit.register

    def note(function: Callable[..., Any], /, *arguments: Any, **options: Any) -> Callable[..., Any]:
        module = str(getattr(function, "__module__", "")).partition(".")[0]
        if module in sys.stdlib_module_names:  # A module that the plugin imports has registered it.
            return register(function, *arguments, **options)
        handler = _ExitHandler(plugin, function)
        _handlers.append(handler)
        register(handler, *arguments, **options)
        return function

    atexit.register = note
    try:
        yield
    finally:
        atexit.register = register


def note_stray_thread(thread: threading.Thread) -> None:
    """Record a thread of a plugin that would keep the process from exiting."""
    _stray_threads.append(thread)


def has_stray_threads() -> bool:
    """Return whether a thread recorded by `note_stray_thread` is still running."""
    return any(thread.is_alive() for thread in _stray_threads)


def watch_exit_handlers(status: int) -> None:
    """If an exit handler of a plugin takes longer than `LIMIT`, report the plugin and exit with a status."""
    if _handlers:
        threading.Thread(target=_watch, args=(status,), daemon=True).start()


def _watch(status: int) -> None:
    while True:
        time.sleep(0.1)
        for handler in _handlers:
            if handler.started is not None and time.monotonic() - handler.started > LIMIT:
                with suppress(OSError, ValueError, AttributeError):  # a stream may be closed
                    sys.stdout.flush()
                    line = f"warning: an exit handler of the plugin {handler.plugin} does not return; exiting anyway"
                    sys.stderr.write(f"{make_printable(line)}\n")  # noqa: TID251  # it is printable
                    sys.stderr.flush()
                os._exit(status)
