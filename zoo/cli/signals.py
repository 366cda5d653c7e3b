"""Signals that end a command in order."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

#: What a shell is told after Ctrl-C, and after SIGTERM.
INTERRUPTED, TERMINATED = 130, 143


class Terminated(KeyboardInterrupt):
    """SIGTERM came, which is to end a command as Ctrl-C does."""


@contextmanager
def terminable() -> Iterator[None]:
    """Raise `Terminated` when SIGTERM comes: else the process would be gone at once, with what it has not written."""
    if threading.current_thread() is not threading.main_thread():  # where no signal arrives
        yield
        return

    def stop(*_: object) -> None:
        raise Terminated

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def choose_code(interrupt: BaseException | None) -> int:
    """Return what the shell is told after an interrupt."""
    return TERMINATED if isinstance(interrupt, Terminated) else INTERRUPTED
