"""Run folders that one process at a time works on: a job that is put back in the queue may meet itself."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from zoo.errors import RunError

try:
    import fcntl
except ImportError:  # Windows, where nothing is held
    fcntl = None  # type: ignore[assignment]

#: Those of this process, by path.
_HELD: set[Path] = set()
#: What a file system says that has no locks; there nothing is held.
_NO_LOCKS = (errno.ENOLCK, errno.ENOTSUP, errno.EBADF, errno.EINVAL)


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Keep a folder from other processes until the block is over, or this process gone; it may be held twice.

    Raises:
        RunError: another process holds it.
    """
    path = folder.resolve()
    if fcntl is None or path in _HELD:
        yield
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        _lock(descriptor, folder)
        _HELD.add(path)
        yield
    finally:
        _HELD.discard(path)
        os.close(descriptor)


def _lock(descriptor: int, folder: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise RunError(f"another process is at work on {folder}; wait until it is over, or end it.") from error
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise RunError(f"{folder} cannot be held: {error.strerror or error}") from error
