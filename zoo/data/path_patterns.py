"""Expand patterns such as ``photos/**/*.jpg``, for shells that do not, and for Python."""

from __future__ import annotations

import os
from pathlib import Path

from zoo.data.sources.shard_names import is_pattern
from zoo.errors import DataError

_MAGIC = ("*", "?", "[")


def is_path_pattern(path: Path) -> bool:
    """Return whether a path is a pattern, and neither a path that exists nor the name of shards."""
    return any(sign in str(path) for sign in _MAGIC) and not is_pattern(path) and not os.path.lexists(path)


def find_base(pattern: Path) -> Path:
    """Return the folder in front of the first part of a pattern that has a wildcard."""
    parts = pattern.parts
    first = next(index for index, part in enumerate(parts) if any(sign in part for sign in _MAGIC))
    return Path(*parts[:first])


def expand_path_pattern(pattern: Path) -> list[Path]:
    """Return the paths that match a pattern, sorted. Hidden files and folders are left out.

    ``**`` matches any number of folders, and does not follow links. A pattern with ``**`` matches only files.

    Raises:
        DataError: If the pattern is invalid.
    """
    base = find_base(pattern)
    rest = pattern.parts[len(base.parts) :]
    is_recursive = "**" in rest
    if rest[-1] == "**":
        rest = (*rest, "*")
    try:
        matches = {*base.glob("/".join(rest))}
    except ValueError as error:  # "a**" in Python 3.12 and earlier
        raise DataError(f"cannot use the pattern {str(pattern)!r}: {error}.") from error
    wants_hidden = any(part.startswith(".") for part in rest)
    return sorted(
        path
        for path in matches
        if (wants_hidden or not _is_hidden(path, base)) and not (is_recursive and path.is_dir())
    )


def _is_hidden(path: Path, base: Path) -> bool:
    return any(part.startswith(".") for part in path.relative_to(base).parts)
