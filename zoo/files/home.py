"""The ``~`` at the beginning of a path that the user passed."""

from __future__ import annotations

from os import PathLike
from pathlib import Path


def expand_home(path: str | PathLike[str]) -> Path:
    """Replace ``~`` and ``~user`` by the home directory. As in a shell, any other ``~`` stays as it is."""
    try:
        return Path(path).expanduser()
    except RuntimeError:  # there is no such user
        return Path(path)
