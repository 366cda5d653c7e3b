"""What commands print: results on stdout, notes and errors on stderr.

All text passes the gate, `zoo.progress.printable`. No other module of the command line prints; ruff refuses
``click.echo`` and the streams elsewhere.
"""

from __future__ import annotations

import dataclasses
import io
import json
import os
import sys
import traceback
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

import click

from zoo.progress.printable import escape_csv, make_printable


class OutputError(click.ClickException):
    """The result cannot be written to stdout."""

    def __init__(self, error: OSError) -> None:
        super().__init__(f"stdout cannot be written: {error.strerror or error}.")


def print_lines(*lines: str) -> None:
    """Print the lines of a result on stdout."""
    _print(_join(lines))


def print_notes(*lines: str) -> None:
    """Print lines on stderr that are not part of the result."""
    if sys.stderr is not None:  # None if the shell closed it; then print() would use stdout
        print(_join(lines), end="", file=sys.stderr, flush=True)  # noqa: T201  # this module prints


def print_json(answer: Any) -> None:
    """Print a result as JSON; dataclasses become objects, and numbers that are not finite become null."""
    text = json.dumps(answer, default=dataclasses.asdict)
    _print(f"{json.dumps(json.loads(text, parse_constant=lambda _name: None), indent=2)}\n")


def print_csv(rows: Iterable[Sequence[str | float]]) -> None:
    """Print rows as CSV."""
    import csv  # only one command needs it

    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerows([escape_csv(cell) if isinstance(cell, str) else cell for cell in row] for row in rows)
    _print(text.getvalue())


def print_error(error: click.ClickException) -> None:
    """Print the message of an error, below the usage if the arguments were wrong."""
    text = io.StringIO()
    error.show(text)
    print_notes(*text.getvalue().rstrip("\n").split("\n"))


def print_traceback(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Print a traceback, as a replacement for `sys.excepthook`."""
    print_notes(*"".join(traceback.format_exception(kind, error, trace)).rstrip("\n").split("\n"))


@contextmanager
def reporting_output_errors() -> Iterator[None]:
    """Return a context that raises OutputError if stdout cannot be written, and then discards the rest of the output.

    If stdout is a closed pipe, click ends the command without a message, as is usual.
    """
    try:
        yield
    except (OutputError, OSError) as error:
        failure = error if isinstance(error, OutputError) else _find_output_error()
        if failure is None:
            raise
        # Otherwise Python would report at exit that the rest cannot be written.
        with Path(os.devnull).open("wb") as sink:
            os.dup2(sink.fileno(), sys.stdout.fileno())
        raise failure from error


def _join(lines: Iterable[str]) -> str:
    return "".join(f"{make_printable(line)}\n" for line in lines)


def _print(text: str) -> None:
    try:
        print(text, end="", flush=True)  # noqa: T201  # this module prints
    except BrokenPipeError:
        raise
    except OSError as error:
        raise OutputError(error) from error


def _find_output_error() -> OutputError | None:
    """Return why stdout cannot be written; None if it can, so that another file caused an error."""
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except OSError as error:
        return OutputError(error)
    return None


def format_table(rows: Sequence[Sequence[str]], right: Sequence[int] = ()) -> list[str]:
    """Align rows in columns, and return the lines.

    Args:
        rows: The titles, then the rows. All have the same length.
        right: Indices of the columns that are aligned to the right.
    """
    cells = [[make_printable(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    sides = (">" if index in right else "<" for index in range(len(widths)))
    aligned = "  ".join(f"{{:{side}{width}}}" for side, width in zip(sides, widths, strict=True))
    return [aligned.format(*row).rstrip() for row in cells]


def format_count(count: int) -> str:
    """Shorten a number of parameters or bytes, such as 11,689,512 to ``11.7M``."""
    if count < 1000:
        return str(count)
    # A number that would round to 1000.0 belongs to the next unit: 999,950 is 1.0M.
    unit, name = (10**3, "k") if count < 999_950 else (10**6, "M") if count < 999_950_000 else (10**9, "G")
    return f"{count / unit:.1f}{name}"
