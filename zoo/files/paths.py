"""Paths that users type, and files that may be something else than a file."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from zoo.errors import OptionError, ZooError


def expand_user(path: str | os.PathLike[str]) -> Path:
    """Replace ``~`` and ``~user`` with a home folder. As in a shell, the name of an unknown user is kept.

    Raises:
        OptionError: If the path is an empty string, which would otherwise mean the current folder.
    """
    if not os.fspath(path):
        raise OptionError("a path is empty; pass the path of a file or a folder.")
    return Path(os.path.expanduser(path))  # noqa: PTH111  # Path.expanduser raises RuntimeError for an unknown user


def read_file(path: Path, most: int = -1) -> bytes:
    """Return the content of a file.

    Args:
        path: Path of the file.
        most: Maximum number of bytes to read; -1 means all.

    Raises:
        OSError: If it cannot be read or is not a file. Opening a named pipe would block forever.
    """
    if path.exists() and not path.is_file():
        raise OSError(errno.EINVAL, "it is not a file")
    with path.open("rb") as file:
        return file.read(most)


@contextmanager
def accessing(path: Path, error: type[ZooError], advice: str) -> Iterator[None]:
    """Return a context that turns the OSError of a path that cannot be accessed into a ZooError.

    Even checking whether a path exists raises OSError if its name is too long, or if a parent folder is not accessible.
    """
    try:
        yield
    except OSError as cause:
        raise error(f"{path} cannot be used: {cause.strerror or cause}; {advice}.") from cause
