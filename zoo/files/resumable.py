"""A file on its way: it belongs to one process until it is whole, and outlives that process when it breaks off.

    NAME.partial-1f3a9c2b   belongs to the process that drew these digits, and only that one writes to it
    NAME.partial            was given up; whoever renames it first owns it and goes on
    NAME                    is whole

There are no locks, since locks lie on some network file systems. Renaming is atomic on all of them, and exactly one of
many processes that rename the same file succeeds.
"""

from __future__ import annotations

import glob
import hashlib
import os
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import FileIO
from pathlib import Path

#: Seconds without a write after which its process counts as dead. A live one writes, or fails, well within it.
ABANDONED = 60.0


class PartialLost(Exception):
    """Another process has finished the same file, or took this one while we were suspended."""


class Partial:
    """The beginning of a file, open for appending."""

    def __init__(self, path: Path, target: Path, file: FileIO) -> None:
        self._path = path
        self._target = target
        self._file = file

    @property
    def size(self) -> int:
        """Bytes that are there so far."""
        return os.fstat(self._file.fileno()).st_size

    def append(self, chunk: bytes) -> None:
        """Write all of ``chunk`` at the end.

        Raises PartialLost when that is no longer ours to do, OSError when the disk refuses.
        """
        if self._target.exists() or not self._path.exists():
            raise PartialLost(self._path)  # finished by another process, or taken by one
        rest = memoryview(chunk)
        while rest:
            rest = rest[self._file.write(rest) :]

    def sha256(self) -> str:
        """Return the 64 hex digits of the SHA-256 of what is there, read back rather than summed up on the way."""
        self._file.seek(0)
        return hashlib.file_digest(self._file, "sha256").hexdigest()

    def restart(self) -> None:
        """Drop all bytes."""
        self._file.truncate(0)


@contextmanager
def open_partial(target: Path, *, resume: bool) -> Iterator[Partial]:
    """Yield the file that becomes ``target`` when the block ends well; the folder is made.

    With ``resume`` it begins with what an earlier attempt left, and what is there is left to the next one when the
    block raises. Without, nothing is left. Raises PartialLost when somebody else owns the file at the end.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    own = target.with_name(f"{target.name}.partial-{secrets.token_hex(4)}")
    if resume:
        _claim(target, own)
    try:
        with FileIO(own, "a+b") as file:
            yield Partial(own, target, file)
            os.fsync(file.fileno())
        _publish(own, target)
    except BaseException:  # an interrupt as well: what has arrived is worth keeping
        _release(own, target, keep=resume)
        raise


def sweep_partials(target: Path) -> None:
    """Remove what dead processes left of ``target``, which is whole."""
    for found in _left_behind(target):
        with suppress(OSError):
            found.unlink()


def _claim(target: Path, own: Path) -> None:
    for found in _left_behind(target):
        with suppress(OSError):  # somebody else was faster, or it belongs to another user
            os.utime(found)  # before the new name appears, lest it looks abandoned under that one too
            found.rename(own)
            return


def _publish(own: Path, target: Path) -> None:
    try:
        own.replace(target)
    except FileNotFoundError:
        raise PartialLost(own) from None
    sweep_partials(target)


def _release(own: Path, target: Path, *, keep: bool) -> None:
    with suppress(OSError):  # the error that brought us here matters more
        if keep and own.stat().st_size > 0 and not target.exists():
            own.replace(_released(target))
        else:
            own.unlink()


def _left_behind(target: Path) -> list[Path]:
    """Partials that no live process writes to, the largest first."""
    sizes: dict[Path, int] = {}
    for found in [_released(target), *target.parent.glob(glob.escape(target.name) + ".partial-" + "[0-9a-f]" * 8)]:
        with suppress(FileNotFoundError):  # taken or finished since it was listed
            status = found.stat()
            if found == _released(target) or time.time() - status.st_mtime > ABANDONED:
                sizes[found] = status.st_size
    return sorted(sizes, key=lambda found: sizes[found], reverse=True)


def _released(target: Path) -> Path:
    return target.with_name(f"{target.name}.partial")
