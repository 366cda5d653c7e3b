"""Interrupts that wait until what must not be torn apart is whole."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

#: What ends a process besides Ctrl-C: a request, and a terminal that is gone.
ENDING = (signal.SIGTERM, *([signal.SIGHUP] if hasattr(signal, "SIGHUP") else []))
#: Seconds in which a second signal is the echo of the first: who ends a process and then its group sends two.
ECHO = 1.0


@contextmanager
def handling(numbers: Iterable[signal.Signals], handler: Callable[[int, object], None]) -> Iterator[None]:
    """Handle signals so until the block is over; in the main thread, where alone they arrive."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    # Who ignores a signal goes on to do so; handlers that are not Python's (None) could not be put back.
    before = {number: found for number in numbers if (found := signal.getsignal(number)) not in (None, signal.SIG_IGN)}
    try:
        for number in before:
            signal.signal(number, handler)
        yield
    finally:
        for number, found in before.items():
            signal.signal(number, found)


#: What has come so far, for each block that puts signals off now.
_blocks: list[list[tuple[int, float]]] = []


def is_put_off() -> bool:
    """Tell whether a signal waits for an `undisturbed` block to end."""
    return any(_blocks)


@contextmanager
def undisturbed() -> Iterator[None]:
    """Put off SIGINT, SIGTERM and SIGHUP until the block has ended well; a second one ends the process at once."""
    late: list[tuple[int, float]] = []

    def note(number: int, _frame: object) -> None:
        if not late:
            late.append((number, time.monotonic()))
        elif time.monotonic() - late[0][1] > ECHO:
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)

    _blocks.append(late)
    try:
        with handling((signal.SIGINT, *ENDING), note):
            yield
    finally:
        _blocks[:] = [block for block in _blocks if block is not late]
    if late:
        signal.raise_signal(late[0][0])
