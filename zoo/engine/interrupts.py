"""Signals that are deferred until a step or a write is complete."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

#: Signals other than Ctrl-C that end a process: a request to terminate, and the loss of the terminal.
ENDING = (signal.SIGTERM, *([signal.SIGHUP] if hasattr(signal, "SIGHUP") else []))
#: Time window in seconds within which another signal counts as a duplicate. Some programs signal a process and then its
#: process group.
ECHO = 1.0


@contextmanager
def handling(numbers: Iterable[signal.Signals], handler: Callable[[int, object], None]) -> Iterator[None]:
    """Return a context with a signal handler. It does nothing outside the main thread, where no signals arrive."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    # Ignored signals stay ignored. Handlers that were not installed by Python (None) are kept, because
    # they could not be restored.
    before = {number: found for number in numbers if (found := signal.getsignal(number)) not in (None, signal.SIG_IGN)}
    try:
        for number in before:
            signal.signal(number, handler)
        yield
    finally:
        for number, found in before.items():
            signal.signal(number, found)


#: Signals received so far, as pairs of number and time, for each active `deferring_signals` block.
_blocks: list[list[tuple[int, float]]] = []


def is_signal_pending() -> bool:
    """Return whether a signal is waiting for a `deferring_signals` block to end."""
    return any(_blocks)


@contextmanager
def deferring_signals() -> Iterator[None]:
    """Return a context that defers SIGINT, SIGTERM and SIGHUP until it exits; a second signal ends the process.

    If the block raises an exception, a deferred signal is dropped.
    """
    received: list[tuple[int, float]] = []

    def defer(number: int, _frame: object) -> None:
        if not received:
            received.append((number, time.monotonic()))
        elif time.monotonic() - received[0][1] > ECHO:
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)

    _blocks.append(received)
    try:
        with handling((signal.SIGINT, *ENDING), defer):
            yield
    finally:
        _blocks[:] = [block for block in _blocks if block is not received]
    if received:
        signal.raise_signal(received[0][0])
