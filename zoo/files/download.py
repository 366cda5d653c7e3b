"""Fetches a file by https: checked, resumed where an earlier attempt broke off, by one process at a time.

A file appears under its final name when it is whole and verified, or not at all: what exists is complete. Until then it
is ``NAME.part``. A process holds the lock ``locks/NAME.lock`` of the cache folder while it fetches the file.
"""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import NoReturn

from zoo.errors import DownloadError
from zoo.files.atomic import publish
from zoo.files.cache import cache_folder
from zoo.files.http import Answer, TransferFailed, ask, file_name
from zoo.progress import Progress

#: How often a server that breaks off is asked, and the seconds between.
TRIES = 3
PAUSE = 0.2
#: Seconds to wait for another process that fetches the same file.
PATIENCE = 3600.0


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What is to be fetched, and what it must be."""

    url: str
    target: Path
    sha256: str | None
    size: int | None

    @property
    def part(self) -> Path:
        """What has arrived of it."""
        return self.target.with_name(f"{self.target.name}.part")

    def error(self, reason: str, advice: str = "Try again") -> DownloadError:
        return DownloadError(f"Cannot fetch {self.url}: {reason}. {advice}, or save the file yourself as {self.target}")


def is_offline() -> bool:
    """Tell whether ``ZOO_OFFLINE`` forbids to ask any server."""
    return os.environ.get("ZOO_OFFLINE", "") not in {"", "0"}


def sha256_of(path: Path) -> str:
    """Return the 64 hex digits of the file's SHA-256. Raises OSError."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def fetch(url: str, target: Path, *, sha256: str | None, size: int | None, progress: Progress) -> Path:
    """Fetch ``url`` (https or hf) and return ``target``, at once where that exists.

    ``sha256`` is all 64 hex digits or the first 8 or more; ``size`` is in bytes. Without ``sha256`` a file on the Hub
    is checked against the digest that the Hub states, and any other only for its length. Raises DownloadError.
    """
    wanted = _Wanted(url, target, sha256, size)
    if target.exists():
        return target
    if is_offline():
        raise wanted.error("ZOO_OFFLINE is set, and the file is not on this machine", "Unset ZOO_OFFLINE")
    progress.say(f"fetching {url}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with _locked(wanted, progress):
            if not target.exists():  # another process may have fetched it meanwhile
                _fetch_patiently(wanted, progress)
    except OSError as error:  # of the disk: those of the network are TransferFailed
        raise wanted.error(f"{target.parent} cannot be written to ({error.strerror or error})") from error
    return target


@contextmanager
def _locked(wanted: _Wanted, progress: Progress) -> Iterator[None]:
    """Hold the lock of a file, as soon as no other process does.

    The system frees the lock of a process that dies. On a file system without locks, filelock falls back to its
    SoftFileLock, which is held while the lock file is there. A killed process may leave it, so the wait has an end.
    """
    from filelock import FileLock, Timeout  # a tenth of a second, and most files are there already

    path = cache_folder() / "locks" / f"{wanted.target.name}.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path, timeout=0, mode=0o666)  # for all who may write to the folder
    try:
        lock.acquire()
    except Timeout:
        progress.say("waiting for another process that is fetching it")
        try:
            lock.acquire(timeout=PATIENCE)
        except Timeout as error:
            reason = f"another process has been fetching it for {PATIENCE / 60:.0f} minutes"
            raise wanted.error(reason, f"If there is none, remove {path} and try again") from error
    try:
        yield
    finally:
        lock.release()


def _fetch_patiently(wanted: _Wanted, progress: Progress) -> None:
    for left in reversed(range(TRIES)):
        try:
            _fetch_once(wanted, progress)
        except TransferFailed as failure:
            if not (failure.again and left):
                raise wanted.error(str(failure)) from failure
            time.sleep(PAUSE)
        else:
            return


def _fetch_once(wanted: _Wanted, progress: Progress) -> None:
    part = wanted.part
    try:
        answer = _open_answer(wanted, part.stat().st_size if part.exists() else 0)
        with answer.body, part.open("ab" if answer.start else "wb", buffering=0) as file:
            _receive(wanted, answer, file, progress)
        _verify(wanted, answer)
        publish(part, wanted.target)
    finally:
        # What has arrived is worth keeping, but only a digest tells whether the bytes of two attempts belong together.
        has_digest = wanted.sha256 is not None or wanted.url.startswith("hf://")
        if part.exists() and not (has_digest and part.stat().st_size):
            part.unlink()


def _open_answer(wanted: _Wanted, start: int) -> Answer:
    answer = ask(wanted.url, start)
    if answer.start and not (wanted.sha256 or answer.sha256):
        answer.body.close()  # nothing tells whether these bytes belong to those that are there
        return ask(wanted.url, 0)
    return answer


def _receive(wanted: _Wanted, answer: Answer, file: FileIO, progress: Progress) -> None:
    folder = wanted.target.parent
    if answer.length is not None and answer.length > shutil.disk_usage(folder).free:
        _refuse_space(folder, answer.length)
    total = wanted.size if answer.length is None else answer.start + answer.length
    with progress.track(f"fetching {file_name(wanted.url)}", total) as advance:
        advance(answer.start)
        for chunk in answer.chunks():
            try:
                _append(file, chunk)
            except OSError as error:
                if error.errno in (errno.ENOSPC, errno.EDQUOT):
                    _refuse_space(folder, total and total - file.tell())
                raise
            advance(len(chunk))


def _append(file: FileIO, chunk: bytes) -> None:
    rest = memoryview(chunk)
    while rest:  # a disk that fills up takes a part
        rest = rest[file.write(rest) :]


def _verify(wanted: _Wanted, answer: Answer) -> None:
    expected = wanted.sha256 or answer.sha256
    wrong = None
    if wanted.size is not None and (size := wanted.part.stat().st_size) != wanted.size:
        wrong = f"it is {size:,} bytes long, not {wanted.size:,}"
    elif expected is not None:
        found = sha256_of(wanted.part)
        wrong = None if found.startswith(expected.lower()) else f"its SHA-256 is {found}, not {expected}"
    if wrong:
        wanted.part.unlink()
        advice = "the file has changed since it was published, or on its way here"
        raise TransferFailed(f"{wrong}; {advice}", again=answer.start > 0)


def _refuse_space(folder: Path, needed: int | None) -> NoReturn:
    free = shutil.disk_usage(folder).free
    wants = "more" if needed is None else f"{needed:,} bytes more"
    raise TransferFailed(f"the disk is full: {folder} needs {wants} and has {free:,} free; ZOO_CACHE moves the cache")
