"""The lines that commands print, results on stdout and everything else on stderr, and errors of these streams.

`zoo.progress.printable` escapes all lines. No other module of the command line prints; ruff refuses
``click.echo`` and the streams elsewhere.
"""

from __future__ import annotations

import errno
import io
import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import click

from zoo.progress.printable import make_printable

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer as Buffer


class OutputError(click.ClickException):
    """The result cannot be written to stdout."""

    def __init__(self, error: OSError) -> None:
        super().__init__(f"cannot write to stdout: {error.strerror or error}.")


class _Lossy(io.RawIOBase):
    """The raw layer of stderr, which discards what cannot be written; notes and progress must not end a run."""

    def __init__(self, raw: io.RawIOBase) -> None:
        self._raw = raw

    def write(self, data: Buffer, /) -> int:
        """Write data, and return how many bytes were written or discarded."""
        with suppress(OSError):
            written = self._raw.write(data)
            if written is not None:  # None if the stream does not block and is full
                return written
        return memoryview(data).nbytes

    def writable(self) -> bool:
        """Return True."""
        return True

    def fileno(self) -> int:
        """Return the file descriptor."""
        return self._raw.fileno()

    def isatty(self) -> bool:
        """Return whether the stream is a terminal."""
        return self._raw.isatty()


def prepare_streams() -> None:
    """Let stderr discard what cannot be written, and give stdout a buffer, even if ``PYTHONUNBUFFERED`` is set.

    A buffer keeps what could not be written, so `reporting_output_errors` can find out that stdout caused an error.
    Everything that zoo prints is still flushed at once.
    """
    if isinstance(sys.stderr, io.TextIOWrapper):
        sys.stderr = _rebuild(sys.stderr, _Lossy(_find_raw(sys.stderr)), line_buffering=True)
    if isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout.write_through:
        sys.stdout = _rebuild(sys.stdout, _find_raw(sys.stdout), line_buffering=sys.stdout.isatty())


def _find_raw(stream: io.TextIOWrapper) -> io.RawIOBase:
    buffer: Any = stream.buffer
    raw: io.RawIOBase = getattr(buffer, "raw", buffer)
    return raw


def _rebuild(stream: io.TextIOWrapper, raw: io.RawIOBase, *, line_buffering: bool) -> io.TextIOWrapper:
    return io.TextIOWrapper(
        io.BufferedWriter(raw), encoding=stream.encoding, errors=stream.errors, line_buffering=line_buffering
    )


def print_lines(*lines: str) -> None:
    """Print the lines of a result on stdout."""
    print_exactly(_join(lines))


def print_exactly(text: str) -> None:
    """Print text to stdout that its format, such as JSON, has already made printable."""
    if sys.stdout is None:  # because the shell closed it; then print() would do nothing
        raise OutputError(OSError(errno.EBADF, "it is closed"))
    try:
        print(text, end="", flush=True)  # noqa: T201  # this module prints
    except BrokenPipeError:
        raise
    except OSError as error:
        raise OutputError(error) from error


def print_notes(*lines: str) -> None:
    """Print lines on stderr that are not part of the result."""
    if sys.stderr is not None:  # None if the shell closed it; then print() would use stdout
        print(_join(lines), end="", file=sys.stderr, flush=True)  # noqa: T201  # this module prints


def print_error(error: click.ClickException) -> None:
    """Print the message of an error, below the usage if the arguments were wrong."""
    text = io.StringIO()
    error.show(text)
    print_notes(*text.getvalue().rstrip("\n").split("\n"))


def print_traceback(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Print a traceback, as a replacement for `sys.excepthook`."""
    import traceback  # only bugs and --debug need it

    print_notes(*"".join(traceback.format_exception(kind, error, trace)).rstrip("\n").split("\n"))


@contextmanager
def reporting_output_errors() -> Iterator[None]:
    """Return a context that raises OutputError if zoo cannot write to stdout, and then discards the rest of the output.

    If stdout is a closed pipe, click ends the command without a message, as is usual.
    """
    try:
        yield
    except (OutputError, OSError) as error:
        failure = error if isinstance(error, OutputError) else _find_output_error()
        if failure is None:
            raise
        # Otherwise Python would report at exit that it cannot write the rest.
        if sys.stdout is not None:
            with Path(os.devnull).open("wb") as sink:
                os.dup2(sink.fileno(), sys.stdout.fileno())
        raise failure from error


def _join(lines: Iterable[str]) -> str:
    return "".join(f"{make_printable(line)}\n" for line in lines)


def _find_output_error() -> OutputError | None:
    """Return why zoo cannot write to stdout; None if it can, because another file then caused the error."""
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except OSError as error:
        return OutputError(error)
    return None
