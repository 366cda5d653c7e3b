"""Short prefixes of parameter names."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


def covers(prefix: str, name: str) -> bool:
    """Return whether a prefix covers a name: ``layers.1`` covers ``layers.1.bias``, but not ``layers.10.bias``."""
    return name == prefix or name.startswith(f"{prefix}.")


def shortest_prefixes(owners: Mapping[str, int]) -> dict[int, tuple[str, ...]]:
    """Find the fewest dotted prefixes for each owner that cover all of its parameter names and no others.

    Args:
        owners: The owner of each parameter, by the parameter's name.
    """
    seen: dict[str, set[int]] = {}
    for name, owner in owners.items():
        for prefix in _list_prefixes(name):
            seen.setdefault(prefix, set()).add(owner)
    found: dict[int, dict[str, None]] = {}
    for name, owner in owners.items():
        shortest = next(prefix for prefix in _list_prefixes(name) if len(seen[prefix]) == 1)
        found.setdefault(owner, {})[shortest] = None
    return {owner: tuple(prefixes) for owner, prefixes in found.items()}


def _list_prefixes(name: str) -> Iterator[str]:
    parts = name.split(".")
    return (".".join(parts[:end]) for end in range(1, len(parts) + 1))
