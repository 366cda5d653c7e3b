"""Download a file over https: verified, resumable, and by one process at a time.

A file appears under its final name once it is complete and verified, or not at all. Until then it is named
``NAME.part``. While a process fetches the file, it holds the lock ``locks/NAME.lock`` in the cache folder. If only one
member of an archive is needed, only this member is kept.
"""

from __future__ import annotations

import errno
import os
import shutil
from contextlib import AbstractContextManager
from functools import partial
from io import FileIO
from pathlib import Path

from zoo.errors import DownloadError
from zoo.files.atomic import publish
from zoo.files.digest import Digest, hash_file
from zoo.files.http import Response, TransferFailed, open_url
from zoo.files.leftovers import lock_path, remove_leftovers
from zoo.files.limits import DOWNLOAD_BYTES, LOCK_SECONDS
from zoo.files.paths import accessing
from zoo.files.remote_file import RemoteFile
from zoo.files.remote_version import read_version_of
from zoo.files.retry import retry
from zoo.files.urls import file_name
from zoo.progress import Progress


def is_offline() -> bool:
    """Return whether ``ZOO_OFFLINE`` forbids requests to servers."""
    return os.environ.get("ZOO_OFFLINE", "") not in {"", "0"}


def is_outage(error: DownloadError) -> bool:
    """Return whether the server could not be reached or could not answer, so that nothing is known about the file."""
    return isinstance(error.__cause__, TransferFailed) and error.__cause__.is_outage


def sha256_of(path: Path) -> str:
    """Return the file's SHA-256 as 64 hex digits. Raises OSError."""
    return hash_file(path, "sha256")


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
    return _obtain(RemoteFile(url, target, Digest("sha256", sha256) if sha256 else None, size), progress)


def fetch_pinned(url: str, target: Path, digest: Digest | None, member: str | None, progress: Progress) -> Path:
    """Fetch ``url`` as :func:`fetch` does, with any kind of digest, or one file of the archive that ``url`` is.

    Args:
        url: An https:// or hf:// URL.
        target: Where to save the file.
        digest: Expected digest of the file that is saved.
        member: Path of the file in the archive; None if ``url`` is the file itself.
        progress: Where to report progress.

    Raises:
        DownloadError: If the file cannot be fetched or is not the expected file.
    """
    return _obtain(RemoteFile(url, target, digest, member=member), progress)


def fetch_versioned(url: str, target: Path, progress: Progress) -> Path:
    """Fetch ``url`` without a digest, as :func:`fetch` does, and store the version that the server reports beside it.

    Raises:
        DownloadError: If the file cannot be fetched.
    """
    return _obtain(RemoteFile(url, target, None, keeps_version=True), progress)


def has_changed(url: str, target: Path, progress: Progress) -> bool:
    """Return whether the server has another version of a file that :func:`fetch_versioned` fetched.

    Raises:
        DownloadError: If the server cannot be asked.
    """
    download = RemoteFile(url, target, None)
    try:
        response = retry(partial(open_url, url, 0), progress.say)
    except TransferFailed as failure:
        raise download.error(str(failure)) from failure
    response.body.close()  # Servers often allow no HEAD requests, and little is sent before it is closed.
    return read_version_of(target).differs(response.version)


def _obtain(download: RemoteFile, progress: Progress) -> Path:
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


def _acquire_lock(download: RemoteFile, progress: Progress) -> AbstractContextManager[object]:
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


def _fetch(download: RemoteFile, progress: Progress) -> None:
    try:
        retry(partial(_fetch_once, download, progress), progress.say)
    except TransferFailed as failure:
        raise download.error(str(failure)) from failure


def _fetch_once(download: RemoteFile, progress: Progress) -> None:
    part = download.part
    try:
        response = _open_response(download, part.stat().st_size if part.exists() else 0)
        with response.body, part.open("ab" if response.start else "wb", buffering=0) as file:
            _receive(download, response, file, progress)
        download.verify(response)
        if download.keeps_version:
            response.version.save(download.target)
        if download.member is None:
            publish(part, download.target)
        else:
            download.keep_member(download.member)
    finally:
        if part.exists() and not (download.is_resumable and part.stat().st_size):
            part.unlink()


def _open_response(download: RemoteFile, start: int) -> Response:
    response = open_url(download.url, start)
    if response.start and not download.list_digests(response):
        response.body.close()  # No digest would show whether these bytes match the partial file.
        return open_url(download.url, 0)
    return response


def _receive(download: RemoteFile, response: Response, file: FileIO, progress: Progress) -> None:
    folder = download.target.parent
    announced = None if response.length is None else response.start + response.length
    if announced is not None and download.size not in (None, announced):
        raise download.explain_size(response, announced)  # before anything is transferred
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


def _refuse_excess(download: RemoteFile, response: Response, received: int, total: int | None) -> None:
    """Raise TransferFailed before more bytes are written than the file has."""
    if total is not None and received > total:
        raise download.explain_mismatch(response, f"it has more than {total:,} bytes")
    if total is None and received > DOWNLOAD_BYTES.read():
        download.part.unlink()
        reason = f"the server sends {DOWNLOAD_BYTES.explain(received)}, because the size of the file is not known"
        raise TransferFailed(reason)


def _append(file: FileIO, chunk: bytes) -> None:
    rest = memoryview(chunk)
    while rest:  # On a nearly full disk, a write may store only part of the bytes.
        rest = rest[file.write(rest) :]


def _explain_full_disk(folder: Path, needed: int | None) -> TransferFailed:
    needs = "more space" if needed is None else f"{needed:,} bytes more"
    free = shutil.disk_usage(folder).free
    return TransferFailed(
        f"the disk is full: {folder} needs {needs} and has {free:,} free; set ZOO_CACHE to a folder on a different disk"
    )
