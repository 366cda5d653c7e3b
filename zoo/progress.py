"""What long work tells whoever waits for it: lines and progress bars on stderr, so that stdout holds only answers."""

from __future__ import annotations

import os
import sys
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

Advance = Callable[[int], None]

#: Categories of Unicode: control characters, halves of surrogate pairs, line and paragraph separators.
_UNSAFE = ("Cc", "Cs", "Zl", "Zp")
#: Characters that turn the direction of what comes after them, and so can make a name look like another one.
_BIDIRECTIONAL = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"


class Progress(Protocol):
    """Where long work reports to."""

    def say(self, line: str) -> None:
        """Tell one fact that the user should know."""

    def track(self, title: str, total: int | None) -> AbstractContextManager[Advance]:
        """Show that ``title`` goes on; call what is yielded with the number of steps done, of ``total`` if known."""


def make_printable(text: str) -> str:
    """Escape what a terminal would obey or could not show: names of classes and files come from anywhere."""
    return "".join(ascii(c)[1:-1] if unicodedata.category(c) in _UNSAFE or c in _BIDIRECTIONAL else c for c in text)


class Silent:
    """Tells nothing."""

    def say(self, line: str) -> None:
        """Drop the line."""

    @contextmanager
    def track(self, title: str, total: int | None) -> Iterator[Advance]:  # noqa: ARG002  # the protocol's
        """Drop the steps."""
        yield lambda _steps: None


class Lines:
    """Plain lines: what logs and pipes want. Bars are left out; what matters is said in lines anyway."""

    def __init__(self, word: Callable[[str], str] = str) -> None:
        """Create it; ``word`` turns each line into what is shown."""
        self._word = word

    def say(self, line: str) -> None:
        """Print the line on stderr."""
        print(make_printable(self._word(line)), file=sys.stderr, flush=True)  # noqa: T201  # this is the one place that prints

    @contextmanager
    def track(self, title: str, total: int | None) -> Iterator[Advance]:  # noqa: ARG002  # the protocol's
        """Show nothing."""
        yield lambda _steps: None


class Bars(Lines):
    """Lines, and a bar below them while something goes on: what a terminal can show."""

    def __init__(self, word: Callable[[str], str] = str) -> None:
        """Create it; ``word`` turns each line into what is shown."""
        super().__init__(word)
        from rich.console import Console

        self._console = Console(stderr=True)

    def say(self, line: str) -> None:
        """Print the line above any running bar."""
        self._console.print(
            make_printable(self._word(line)), markup=False, emoji=False, highlight=False, soft_wrap=True
        )

    @contextmanager
    def track(self, title: str, total: int | None) -> Iterator[Advance]:
        """Show a bar that vanishes when the work is done."""
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as RichProgress

        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
        )
        with RichProgress(*columns, console=self._console, transient=True) as bars:
            task = bars.add_task(title, total=total)
            yield lambda steps: bars.advance(task, steps)


def is_first() -> bool:
    """Tell whether this process speaks: alone, or as the first of those that torchrun started."""
    return os.environ.get("RANK", "0") == "0"


def open_progress(word: Callable[[str], str] = str) -> Progress:
    """Return bars on a terminal, plain lines elsewhere; ``word`` turns each line into what is shown."""
    if not is_first():
        return Silent()
    return Bars(word) if sys.stderr.isatty() else Lines(word)
