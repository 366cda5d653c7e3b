"""Files and folders that are whole or absent, whatever happens: a kill, a full disk, a power cut."""

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

#: Begins the names of files on their way; what a killed process left of them anyone may remove.
PREFIX = ".partial-"
#: What some file systems answer where the names in a folder should be written to the disk.
NO_SUCH_THING = (errno.EINVAL, errno.EBADF, errno.ENOTSUP)


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """Yield a path for a file or a folder; what is there when the block ends well gets the name ``path``.

    Otherwise nothing is left, and what had the name before still has it.

    Raises:
        OSError: the disk is full, or the folder is gone or not ours.
    """
    own = path.with_name(f"{PREFIX}{secrets.token_hex(4)}-{path.name}")
    try:
        yield own
        publish(own, path)
    finally:
        if own.is_dir():
            shutil.rmtree(own, ignore_errors=True)
        else:
            own.unlink(missing_ok=True)


def publish(own: Path, path: Path) -> None:
    """Give a file or a folder that is complete its name; a file's bytes are on the disk before, the name afterwards.

    A file takes the place of another one. A folder does not: whoever made that one was faster, and made the same.

    Raises:
        OSError: the disk refuses.
    """
    if own.is_file():
        _open_to_all(own)
        _synchronise(own)
    try:
        own.replace(path)
    except OSError:
        if not (own.is_dir() and path.is_dir()):
            raise
    _synchronise(path.parent)


@contextmanager
def written(path: Path, size: int | None = None) -> Iterator[Path]:
    """Do as `whole` does, with an error of one line.

    Args:
        path: the name that it gets.
        size: how many bytes it will have, for the error of a full disk.

    Raises:
        RunError: the disk is full, or the folder is gone or not ours.
    """
    try:
        with whole(path) as own:
            yield own
    except (OSError, SafetensorError) as error:  # what safetensors raises where the disk is full is no OSError
        reason = getattr(error, "strerror", None) or error
        raise RunError(f"{path} cannot be written: {reason}{_describe_room(path, size)}") from error


def make_folder(path: Path) -> None:
    """Create a folder, unless it is there.

    Raises:
        RunError: the disk is full, or the folder around it is gone or not ours.
    """
    try:
        path.mkdir(exist_ok=True)
    except OSError as error:
        raise RunError(f"{path} cannot be created: {error.strerror or error}") from error


def remove(path: Path) -> None:
    """Remove a file, or an empty folder, unless it is gone.

    Raises:
        RunError: it cannot be removed.
    """
    try:
        path.rmdir() if path.is_dir() else path.unlink(missing_ok=True)
    except OSError as error:
        raise RunError(f"{path} cannot be removed: {error.strerror or error}") from error


def remove_partial(folder: Path) -> None:
    """Remove what killed processes left on the way.

    Raises:
        RunError: it cannot be removed.
    """
    for path in folder.glob(f"{PREFIX}*"):
        remove(path)


def _open_to_all(path: Path) -> None:
    """Give a file the mode of a normal one: safetensors makes its files private, and runs are shared."""
    umask = os.umask(0)
    os.umask(umask)
    with suppress(PermissionError):  # vfat has no modes
        path.chmod(0o666 & ~umask)


def _synchronise(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on the disk."""
    if path.is_dir() and os.name == "nt":  # which has no such thing
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if not path.is_dir() or error.errno not in NO_SUCH_THING:
            raise
    finally:
        os.close(descriptor)


def _describe_room(path: Path, size: int | None) -> str:
    """Say how much room there is, where that can be told."""
    try:
        free = shutil.disk_usage(path.parent).free
    except OSError:
        return ""
    wanted = "" if size is None else f"{size:,} bytes are wanted, and "
    return f"; {wanted}{free:,} are free there"
