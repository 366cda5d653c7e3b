"""Files that are whole or absent, whatever happens: a kill, a full disk, a power cut."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from zoo.errors import RunError

#: Begins the names of files on their way; what a killed process left of them anyone may remove.
PREFIX = ".partial-"


@contextmanager
def written(path: Path, size: int | None = None) -> Iterator[Path]:
    """Yield a path to write to; what is there when the block ends well gets the name ``path``.

    Its bytes are on the disk before its name is, and the name before this returns. Otherwise nothing is left, and what
    had the name before still has it.

    Args:
        path: the name that it gets.
        size: how many bytes it will have, for the error of a full disk.

    Raises:
        RunError: the disk is full, or the folder is gone or not ours.
    """
    own = path.with_name(f"{PREFIX}{secrets.token_hex(4)}-{path.name}")
    try:
        yield own
        _synchronise(own)
        own.replace(path)
        _synchronise(path.parent)
    except OSError as error:
        raise RunError(f"{path} cannot be written: {error.strerror or error}{_describe_room(path, size)}") from error
    finally:
        own.unlink(missing_ok=True)


def remove_partial(folder: Path) -> None:
    """Remove what killed processes left on the way."""
    for path in folder.glob(f"{PREFIX}*"):
        path.unlink(missing_ok=True)


def _synchronise(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on the disk."""
    if path.is_dir() and os.name == "nt":  # which has no such thing
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
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
