"""Write files and folders atomically: after SIGKILL, a full disk or a power failure, each is complete or absent."""

from __future__ import annotations

import errno
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from safetensors import SafetensorError

from zoo.errors import RunError
from zoo.files.partial import PREFIX

#: Error numbers of file systems on which a folder cannot be synchronized.
UNSUPPORTED = (errno.EINVAL, errno.EBADF, errno.ENOTSUP)

#: Error numbers of a disk that is full or read-only.
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Yield a temporary path for a file or folder, and rename it to ``path`` when the block succeeds.

    If the block raises, the temporary file or folder is removed and ``path`` is not changed.

    Raises:
        OSError: If the disk is full, or the parent folder is missing or not writable.
    """
    temporary = path.with_name(f"{PREFIX}{os.getpid()}-{secrets.token_hex(4)}-{path.name}")
    try:
        yield temporary
        publish(temporary, path)
    finally:
        if temporary.is_dir():
            shutil.rmtree(temporary, ignore_errors=True)
        else:
            temporary.unlink(missing_ok=True)


def publish(temporary: Path, path: Path) -> None:
    """Rename a complete file or folder to ``path``; its bytes reach the disk before its name does.

    A file replaces an existing file. An existing folder is kept, because another process has just created the same one.

    Raises:
        OSError: If the disk is full or the path is not writable.
    """
    if temporary.is_file():
        _apply_default_mode(temporary)
        _synchronize(temporary)
    try:
        temporary.replace(path)
    except OSError:
        if not (temporary.is_dir() and path.is_dir()):
            raise
    _synchronize(path.parent)


@contextmanager
def atomic_run_write(path: Path, size: int | None = None) -> Iterator[Path]:
    """Write a file or folder like `atomic_write`, but raise RunError instead of OSError.

    Args:
        path: Final path of the file or folder.
        size: Expected size in bytes, for the error message when the disk is full.

    Raises:
        RunError: If the disk is full, or the parent folder is missing or not writable.
    """
    try:
        with atomic_write(path) as temporary:
            yield temporary
    except (OSError, SafetensorError) as error:  # On a full disk, safetensors raises its own error.
        reason = getattr(error, "strerror", None) or error
        raise RunError(f"{path} cannot be written: {reason}{_describe_room(path, size)}") from error


def make_folder(path: Path) -> None:
    """Create a folder unless it exists.

    Raises:
        RunError: If the disk is full, or the parent folder is missing or not writable.
    """
    try:
        path.mkdir(exist_ok=True)
    except OSError as error:
        raise RunError(f"{path} cannot be created: {error.strerror or error}") from error


def remove(path: Path) -> None:
    """Remove a file or an empty folder; a missing file is not an error.

    Raises:
        RunError: If it cannot be removed.
    """
    try:
        path.rmdir() if path.is_dir() else path.unlink(missing_ok=True)
    except OSError as error:
        raise RunError(f"{path} cannot be removed: {error.strerror or error}") from error


def remove_partial(folder: Path) -> None:
    """Remove the unfinished files that killed processes left in a folder.

    Raises:
        RunError: If one of them cannot be removed.
    """
    for path in folder.glob(f"{PREFIX}*"):
        remove(path)


def _apply_default_mode(path: Path) -> None:
    """Apply the default file mode, because safetensors creates private files, but runs are shared."""
    umask = os.umask(0)
    os.umask(umask)
    with suppress(PermissionError):  # The vfat file system has no modes.
        path.chmod(0o666 & ~umask)


def _synchronize(path: Path) -> None:
    """Wait until a file, or the list of names in a folder, is on the disk."""
    if path.is_dir() and os.name == "nt":  # Windows cannot synchronize folders.
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if not path.is_dir() or error.errno not in UNSUPPORTED:
            raise
    finally:
        os.close(descriptor)


def _describe_room(path: Path, size: int | None) -> str:
    """Return how much space is free, or an empty string if that is unknown."""
    try:
        free = shutil.disk_usage(path.parent).free
    except OSError:
        return ""
    needed = "" if size is None else f"{size:,} bytes are needed, and "
    return f"; {needed}{free:,} bytes are free there"
