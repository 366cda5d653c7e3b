"""Paths that users type."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from zoo.errors import ZooError


def expand_user(path: str | os.PathLike[str]) -> Path:
    """Replace ``~`` and ``~user`` with a home folder. As in a shell, the name of an unknown user is kept."""
    return Path(os.path.expanduser(path))  # noqa: PTH111  # Path.expanduser raises RuntimeError for an unknown user


@contextmanager
def accessing(path: Path, error: type[ZooError], advice: str) -> Iterator[None]:
    """Return a context that turns the OSError of a path that cannot be accessed into a ZooError.

    Even checking whether a path exists raises OSError if its name is too long, or if a parent folder is not accessible.
    """
    try:
        yield
    except OSError as cause:
        raise error(f"{path} cannot be used: {cause.strerror or cause}; {advice}.") from cause
