"""Signals that end a command in order."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

#: What a shell is told after Ctrl-C; after another signal it is 128 and its number.
INTERRUPTED = 130
#: What ends a command as Ctrl-C does: a request, and a terminal that is gone.
SIGNALS = (signal.SIGTERM, *([signal.SIGHUP] if hasattr(signal, "SIGHUP") else []))


class Terminated(KeyboardInterrupt):
    """A signal came, which is to end a command as Ctrl-C does; its argument is the number."""


@contextmanager
def terminable() -> Iterator[None]:
    """Raise `Terminated` when a signal comes: else the process would be gone at once, with what it has not written."""
    if threading.current_thread() is not threading.main_thread():  # where no signal arrives
        yield
        return

    def stop(number: int, _frame: object) -> None:
        raise Terminated(number)

    # nohup lets a process ignore that its terminal is gone.
    before = {number: signal.getsignal(number) for number in SIGNALS if signal.getsignal(number) != signal.SIG_IGN}
    try:
        for number in before:
            signal.signal(number, stop)
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def choose_code(interrupt: BaseException | None) -> int:
    """Return what the shell is told after an interrupt."""
    return 128 + int(interrupt.args[0]) if isinstance(interrupt, Terminated) else INTERRUPTED
