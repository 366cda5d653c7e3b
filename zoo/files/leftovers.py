"""Remove what killed processes left in the cache folder, without disturbing running processes.

Other processes may share the folder, some of them on other machines. A file is therefore removed only if its process
has ended, as far as this machine can tell, and nothing has been written to it for some time.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from zoo.files.cache import KINDS, cache_folder, list_own_paths
from zoo.files.limits import PART_SECONDS, PARTIAL_SECONDS
from zoo.files.partial import PART, PREFIX
from zoo.files.processes import is_running


def remove_leftovers() -> None:
    """Remove the unfinished files and folders of processes that have ended.

    Anything that belongs to another user, or disappears in the meantime, is ignored.
    """
    for kind in KINDS:
        for path in list_own_paths(kind):
            if path.name.startswith(PREFIX):
                _remove_partial(path)
            elif path.name.endswith(PART):
                _remove_part(path)


def lock_path(target: Path) -> Path:
    """Return the path of the lock that a process holds while it downloads ``target``."""
    return cache_folder() / "locks" / f"{target.name}.lock"


def _remove_partial(path: Path) -> None:
    process = path.name.removeprefix(PREFIX).partition("-")[0]
    with suppress(OSError):
        if not is_running(process) and _seconds_since_write(path) > PARTIAL_SECONDS.read():
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def _remove_part(path: Path) -> None:
    from filelock import FileLock, Timeout  # Importing it takes 0.1 s, and there is rarely an unfinished download.

    with suppress(OSError, Timeout):  # A Timeout means that a process is downloading the file.
        if _seconds_since_write(path) <= PART_SECONDS.read():
            return
        lock = lock_path(path.with_name(path.name.removesuffix(PART)))
        lock.parent.mkdir(exist_ok=True)
        with FileLock(lock, mode=0o666, timeout=0):
            if _seconds_since_write(path) > PART_SECONDS.read():  # Another process may just have resumed it.
                path.unlink()


def _seconds_since_write(path: Path) -> float:
    """Return the age of the file, or of the newest file or folder in a folder."""
    return time.time() - max(status.st_mtime for status in _read_status(path))


def _read_status(path: Path) -> Iterator[os.stat_result]:
    yield path.lstat()
    if path.is_dir():
        for inner in path.rglob("*"):
            yield inner.lstat()
