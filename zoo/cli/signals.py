"""Signals that end a command after it has saved its work."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from zoo.engine.interrupts import ENDING, handling

#: Exit code after Ctrl-C. After any other signal, it is 128 plus the number of the signal.
INTERRUPTED = 130


class Terminated(KeyboardInterrupt):
    """A signal that ends a command in the same way as Ctrl-C. The argument is the number of the signal."""


@contextmanager
def terminable() -> Iterator[None]:
    """Raise `Terminated` on a signal. By default, the process would end immediately and lose unsaved work."""

    def stop(number: int, _frame: object) -> None:
        raise Terminated(number)

    with handling(ENDING, stop):
        yield


def choose_code(interrupt: BaseException | None) -> int:
    """Return the exit code after an interrupt."""
    return 128 + int(interrupt.args[0]) if isinstance(interrupt, Terminated) else INTERRUPTED
