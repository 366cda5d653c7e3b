"""Locks on run folders, so that two processes never work on the same run, for example when a job is requeued."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Self

from zoo.errors import RunError

try:
    import fcntl
except ImportError:  # On Windows, run folders are not locked.
    fcntl = None  # type: ignore[assignment]

#: Error numbers of a file system without locks, on which run folders are not locked.
_NO_LOCKS = (errno.ENOLCK, errno.ENOTSUP, errno.EBADF, errno.EINVAL)


class RunLock:
    """Locks on run folders, which are released when the ``with`` block or the process ends."""

    def __init__(self) -> None:
        self._descriptors: dict[Path, int] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for descriptor in self._descriptors.values():
            os.close(descriptor)

    def take(self, folder: Path) -> None:
        """Lock a folder, unless this object has already locked it.

        Raises:
            RunError: If another process has locked the folder, or if it cannot be locked.
        """
        path = folder.resolve()
        if fcntl is None or path in self._descriptors:
            return
        try:
            self._descriptors[path] = os.open(path, os.O_RDONLY)
            fcntl.flock(self._descriptors[path], fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise RunError(f"another process is working on {folder}; wait until it is done, or stop it.") from error
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise RunError(f"{folder} cannot be locked: {error.strerror or error}") from error
