"""Download a file over https: verified, resumable, and by one process at a time.

A file appears under its final name once it is complete and verified, or not at all. Until then it is named
``NAME.part``. While a process fetches the file, it holds the lock ``locks/NAME.lock`` in the cache folder.
"""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from io import FileIO
from pathlib import Path

from zoo.errors import DownloadError
from zoo.files.atomic import publish
from zoo.files.http import Response, TransferFailed, file_name, open_url
from zoo.files.leftovers import lock_path, remove_leftovers
from zoo.files.limits import DOWNLOAD_BYTES, LOCK_SECONDS
from zoo.files.partial import PART
from zoo.files.paths import accessing
from zoo.files.remote_version import read_version_of
from zoo.files.retry import retry
from zoo.progress import Progress


@dataclass(frozen=True, slots=True)
class _Download:
    """A file to fetch, and what it must match."""

    url: str
    target: Path
    sha256: str | None
    size: int | None
    #: Whether the version that the server reports is stored beside the file.
    keeps_version: bool = False

    @property
    def part(self) -> Path:
        """Where the bytes are stored until the file is complete."""
        return self.target.with_name(f"{self.target.name}{PART}")

    def error(self, reason: str, advice: str = "Try again") -> DownloadError:
        return DownloadError(f"Cannot fetch {self.url}: {reason}. {advice}, or save the file yourself as {self.target}")


def is_offline() -> bool:
    """Return whether ``ZOO_OFFLINE`` forbids requests to servers."""
    return os.environ.get("ZOO_OFFLINE", "") not in {"", "0"}


def sha256_of(path: Path) -> str:
    """Return the file's SHA-256 as 64 hex digits. Raises OSError."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def fetch(url: str, target: Path, *, sha256: str | None, size: int | None, progress: Progress) -> Path:
    """Fetch ``url`` unless ``target`` exists, and return ``target``.

    Args:
        url: An https:// or hf:// URL.
        target: Where to save the file.
        sha256: Expected SHA-256, either all 64 hex digits or at least the first 8. If it is None, a file on the Hub is
            checked against the digest that the Hub reports. For any other file, only the length is checked.
        size: Expected size in bytes, if known.
        progress: Where to report progress.

    Raises:
        DownloadError: If the file cannot be fetched or is not the expected file.
    """
    return _obtain(_Download(url, target, sha256, size), progress)


def fetch_versioned(url: str, target: Path, progress: Progress) -> Path:
    """Fetch ``url`` without a digest, as :func:`fetch` does, and store the version that the server reports beside it.

    Raises:
        DownloadError: If the file cannot be fetched.
    """
    return _obtain(_Download(url, target, None, None, keeps_version=True), progress)


def has_changed(url: str, target: Path, progress: Progress) -> bool:
    """Return whether the server has another version of a file that :func:`fetch_versioned` fetched.

    Raises:
        DownloadError: If the server cannot be asked.
    """
    download = _Download(url, target, None, None)
    try:
        response = retry(partial(open_url, url, 0), progress.say)
    except TransferFailed as failure:
        raise download.error(str(failure)) from failure
    response.body.close()  # Servers often allow no HEAD requests, and little is sent before it is closed.
    return read_version_of(target).differs(response.version)


def _obtain(download: _Download, progress: Progress) -> Path:
    target = download.target
    with accessing(target, DownloadError, "choose a shorter name or a different folder"):
        if target.exists() and not target.is_file():  # Reading a named pipe would block forever.
            raise DownloadError(f"{target} is not a file; remove it.")
    if target.exists():
        return target
    if is_offline():
        raise download.error("ZOO_OFFLINE is set, and the file is not on this machine", "Unset ZOO_OFFLINE")
    progress.say(f"fetching {download.url}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with _acquire_lock(download, progress):
            if not target.exists():  # Another process may have fetched it while this one was waiting.
                remove_leftovers()
                _fetch(download, progress)
    except OSError as error:  # These come from the disk; network errors are TransferFailed.
        raise download.error(f"{target.parent} cannot be written to ({error.strerror or error})") from error
    return target


def _acquire_lock(download: _Download, progress: Progress) -> AbstractContextManager[object]:
    """Wait until no other process is fetching the file, and return a context that releases the lock.

    The system frees the lock of a process that dies. On a file system without locks, filelock falls back to its
    SoftFileLock, which is held for as long as the lock file exists. A killed process may leave that file behind, so
    the wait has a time limit.
    """
    from filelock import FileLock, Timeout  # Importing it takes 0.1 s, and most files need no download.

    path = lock_path(download.target)
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path, mode=0o666)  # Other users of the cache folder must be able to lock the file, too.
    try:
        return lock.acquire(timeout=0)
    except Timeout:
        progress.say("waiting for another process that is fetching it")
    try:
        return lock.acquire(timeout=LOCK_SECONDS.read())
    except Timeout as error:
        reason = f"another process has been fetching it for {LOCK_SECONDS.read():,} seconds"
        raise download.error(reason, f"If no such process exists, remove {path} and try again") from error


def _fetch(download: _Download, progress: Progress) -> None:
    try:
        retry(partial(_fetch_once, download, progress), progress.say)
    except TransferFailed as failure:
        raise download.error(str(failure)) from failure


def _fetch_once(download: _Download, progress: Progress) -> None:
    part = download.part
    try:
        response = _open_response(download, part.stat().st_size if part.exists() else 0)
        with response.body, part.open("ab" if response.start else "wb", buffering=0) as file:
            _receive(download, response, file, progress)
        _verify(download, response)
        if download.keeps_version:
            response.version.save(download.target)
        publish(part, download.target)
    finally:
        # Keep a partial file only if a digest will show whether its bytes match the rest of the file.
        has_digest = download.sha256 is not None or download.url.startswith("hf://")
        if part.exists() and not (has_digest and part.stat().st_size):
            part.unlink()


def _open_response(download: _Download, start: int) -> Response:
    response = open_url(download.url, start)
    if response.start and not (download.sha256 or response.sha256):
        response.body.close()  # No digest would show whether these bytes match the partial file.
        return open_url(download.url, 0)
    return response


def _receive(download: _Download, response: Response, file: FileIO, progress: Progress) -> None:
    folder = download.target.parent
    announced = None if response.length is None else response.start + response.length
    if announced is not None and download.size not in (None, announced):
        raise _explain_size(download, response, announced)  # before anything is transferred
    if response.length is not None and response.length > shutil.disk_usage(folder).free:
        raise _explain_full_disk(folder, response.length)
    total = download.size if announced is None else announced
    with progress.track(f"fetching {file_name(download.url)}", total) as advance:
        advance(response.start)
        for chunk in response.chunks():
            _refuse_excess(download, response, file.tell() + len(chunk), total)
            try:
                _append(file, chunk)
            except OSError as error:
                if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                    raise
                raise _explain_full_disk(folder, total and total - file.tell()) from error
            advance(len(chunk))


def _refuse_excess(download: _Download, response: Response, received: int, total: int | None) -> None:
    """Raise TransferFailed before more bytes are written than the file has."""
    if total is not None and received > total:
        raise _explain_mismatch(download, response, f"it has more than {total:,} bytes")
    if total is None and received > DOWNLOAD_BYTES.read():
        download.part.unlink()
        reason = f"the server sends {DOWNLOAD_BYTES.explain(received)}, because the size of the file is not known"
        raise TransferFailed(reason)


def _append(file: FileIO, chunk: bytes) -> None:
    rest = memoryview(chunk)
    while rest:  # On a nearly full disk, a write may store only part of the bytes.
        rest = rest[file.write(rest) :]


def _verify(download: _Download, response: Response) -> None:
    expected = download.sha256 or response.sha256
    if download.size is not None and (size := download.part.stat().st_size) != download.size:
        raise _explain_size(download, response, size)
    if expected and not (found := sha256_of(download.part)).startswith(expected.lower()):
        raise _explain_mismatch(download, response, f"its SHA-256 is {found}, not {expected}")


def _explain_size(download: _Download, response: Response, size: int) -> TransferFailed:
    return _explain_mismatch(download, response, f"it has {size:,} bytes, not {download.size:,}")


def _explain_mismatch(download: _Download, response: Response, mismatch: str) -> TransferFailed:
    """Remove the partial file, so that another attempt starts from scratch, and return the error."""
    download.part.unlink()
    reason = f"{mismatch}; the file was changed after it was published, or during the transfer"
    return TransferFailed(reason, can_retry=response.start > 0)


def _explain_full_disk(folder: Path, needed: int | None) -> TransferFailed:
    needs = "more space" if needed is None else f"{needed:,} bytes more"
    free = shutil.disk_usage(folder).free
    return TransferFailed(
        f"the disk is full: {folder} needs {needs} and has {free:,} free; set ZOO_CACHE to a folder on a different disk"
    )
