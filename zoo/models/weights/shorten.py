"""Shorten a list of names for a message."""

from __future__ import annotations

from collections.abc import Iterable


def shorten(names: Iterable[object], most: int = 3) -> str:
    """Return the first few names, and the number of the others.

    Args:
        names: The names, which may come from a file and have any length.
        most: Maximum number of names to list.
    """
    listed = [f"{name!s:.100}" for name in names]
    more = f" and {len(listed) - most} more" if len(listed) > most else ""
    return ", ".join(listed[:most]) + more
