"""Run folders that one process at a time works on: a job that is put back in the queue may meet itself."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Self

from zoo.errors import RunError

try:
    import fcntl
except ImportError:  # Windows, where nothing is held
    fcntl = None  # type: ignore[assignment]

#: Folders that this process has locked.
_HELD: set[Path] = set()
#: What a file system says that has no locks; there nothing is held.
_NO_LOCKS = (errno.ENOLCK, errno.ENOTSUP, errno.EBADF, errno.EINVAL)


class RunLock:
    """Locks run folders against other processes until the block is over, or this process is gone."""

    def __init__(self) -> None:
        self._locked: dict[Path, int] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for path, descriptor in self._locked.items():
            _HELD.discard(path)
            os.close(descriptor)

    def take(self, folder: Path) -> None:
        """Lock a folder; one that this process has locked already stays so.

        Raises:
            RunError: another process has locked it.
        """
        path = folder.resolve()
        if fcntl is None or path in _HELD:
            return
        descriptor = os.open(path, os.O_RDONLY)
        try:
            _lock(descriptor, folder)
        except RunError:
            os.close(descriptor)
            raise
        _HELD.add(path)
        self._locked[path] = descriptor


def _lock(descriptor: int, folder: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise RunError(f"another process is at work on {folder}; wait until it is over, or end it.") from error
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise RunError(f"{folder} cannot be locked: {error.strerror or error}") from error
