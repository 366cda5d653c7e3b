"""Progress of long work: lines and progress bars on stderr, so that stdout contains only results."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import Protocol

from zoo.progress.printable import make_printable

#: Function that receives the number of steps that were just done.
Advance = Callable[[int], None]


class Progress(Protocol):
    """The interface through which long work reports its progress."""

    def say(self, line: str) -> None:
        """Show a line to the user."""

    def track(self, title: str, total: int | None) -> AbstractContextManager[Advance]:
        """Show the progress of some work.

        Args:
            title: What is being done.
            total: Number of steps, or None if it is unknown.

        Returns:
            A context manager that yields a function to call with the number of steps that were just done.
        """


class Silent:
    """A progress interface that shows nothing."""

    def say(self, line: str) -> None:
        """Discard the line."""

    @contextmanager
    def track(self, title: str, total: int | None) -> Iterator[Advance]:  # noqa: ARG002  # part of the protocol
        """Discard the steps."""
        yield lambda _steps: None


class Lines(Silent):
    """Progress as plain lines, for logs and pipes, without bars. All important facts are also printed as lines."""

    def __init__(self, word: Callable[[str], str] = str) -> None:
        """Create the object.

        Args:
            word: Function that rewords each line before it is printed.
        """
        self._word = word

    def say(self, line: str) -> None:
        """Print the line on stderr. If that is impossible, the line is lost, and the work goes on."""
        if sys.stderr is None:  # because the shell closed it; then print() would use stdout
            return
        with suppress(OSError):
            print(make_printable(self._word(line)), file=sys.stderr, flush=True)  # noqa: T201  # the line is printable


class Bars(Lines):
    """Progress as lines with a bar below them, for terminals."""

    def __init__(self, word: Callable[[str], str] = str) -> None:
        """Create the object.

        Args:
            word: Function that rewords each line before it is printed.
        """
        super().__init__(word)
        from rich.console import Console

        self._console = Console(stderr=True)

    def say(self, line: str) -> None:
        """Print the line above any bars. If that is impossible, the line is lost, and the work goes on."""
        with suppress(OSError):
            self._console.print(
                make_printable(self._word(line)), markup=False, emoji=False, highlight=False, soft_wrap=True
            )

    @contextmanager
    def track(self, title: str, total: int | None) -> Iterator[Advance]:
        """Show a bar that disappears when the work is done."""
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as RichProgress

        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
        )
        with RichProgress(*columns, console=self._console, transient=True) as bars:
            task = bars.add_task(make_printable(title), total=total)
            yield lambda steps: bars.advance(task, steps)


class NotebookLines(Silent):
    """Progress as lines in the output of a notebook cell. There, stderr would look like an error."""

    def say(self, line: str) -> None:
        """Print the line."""
        print(make_printable(line), flush=True)  # noqa: T201  # the line is printable


def is_notebook() -> bool:
    """Return whether this process is the kernel of a notebook."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return type(shell).__name__ == "ZMQInteractiveShell"


def choose_progress() -> Progress:
    """Return the default progress of functions that are called from Python: lines in notebooks, else nothing."""
    return NotebookLines() if is_notebook() else Silent()


def is_first() -> bool:
    """Return whether this is the only process of a run, or the first one that torchrun started."""
    return os.environ.get("WORLD_SIZE", "1") == "1" or os.environ.get("RANK", "0") == "0"


def open_progress(word: Callable[[str], str] = str) -> Progress:
    """Return bars on a terminal and lines elsewhere. All processes except the first show nothing.

    Args:
        word: Function that rewords each line before it is printed.
    """
    if not is_first():
        return Silent()
    has_terminal = sys.stderr is not None and sys.stderr.isatty()  # None if the shell closed it
    return Bars(word) if has_terminal else Lines(word)
