"""Interrupts that wait until what must not be torn apart is whole."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

SIGNALS = (signal.SIGINT, signal.SIGTERM, *([signal.SIGHUP] if hasattr(signal, "SIGHUP") else []))
#: Seconds in which a second signal is the echo of the first: who ends a process and then its group sends two.
ECHO = 1.0


@contextmanager
def undisturbed() -> Iterator[None]:
    """Put off SIGINT, SIGTERM and SIGHUP until the block has ended well; a second one ends the process at once."""
    if threading.current_thread() is not threading.main_thread():  # where no signal arrives
        yield
        return
    late: list[tuple[int, float]] = []

    def note(number: int, _frame: object) -> None:
        if not late:
            late.append((number, time.monotonic()))
        elif time.monotonic() - late[0][1] > ECHO:
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)

    # Who ignores a signal goes on to do so; handlers that are not Python's (None) could not be put back.
    before = {
        number: handler for number in SIGNALS if (handler := signal.getsignal(number)) not in (None, signal.SIG_IGN)
    }
    try:
        for number in before:
            signal.signal(number, note)
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if late:
        signal.raise_signal(late[0][0])
