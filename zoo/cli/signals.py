"""Signals that end a command in order."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from zoo.engine.interrupts import ENDING, handling

#: What a shell is told after Ctrl-C; after another signal it is 128 and its number.
INTERRUPTED = 130


class Terminated(KeyboardInterrupt):
    """A signal came, which is to end a command as Ctrl-C does; its argument is the number."""


@contextmanager
def terminable() -> Iterator[None]:
    """Raise `Terminated` when a signal comes: else the process would be gone at once, with what it has not written."""

    def stop(number: int, _frame: object) -> None:
        raise Terminated(number)

    with handling(ENDING, stop):
        yield


def choose_code(interrupt: BaseException | None) -> int:
    """Return what the shell is told after an interrupt."""
    return 128 + int(interrupt.args[0]) if isinstance(interrupt, Terminated) else INTERRUPTED
