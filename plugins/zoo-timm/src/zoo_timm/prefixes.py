"""Short prefixes of parameter names."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator, Mapping

Owner = TypeVar("Owner", bound="Hashable")


def shortest_prefixes(owners: Mapping[str, Owner]) -> dict[Owner, tuple[str, ...]]:
    """Find the fewest dotted prefixes for each owner that cover all of its parameter names and no others.

    Args:
        owners: The owner of each parameter, by the parameter's name.
    """
    seen: dict[str, set[Owner]] = {}
    for name, owner in owners.items():
        for prefix in _prefixes(name):
            seen.setdefault(prefix, set()).add(owner)
    found: dict[Owner, dict[str, None]] = {}
    for name, owner in owners.items():
        shortest = next(prefix for prefix in _prefixes(name) if len(seen[prefix]) == 1)
        found.setdefault(owner, {})[shortest] = None
    return {owner: tuple(prefixes) for owner, prefixes in found.items()}


def covers(prefix: str, name: str) -> bool:
    """Return whether a dotted prefix covers a name: ``layer1`` covers ``layer1.0.bias``, but not ``layer10.bias``."""
    return name == prefix or name.startswith(f"{prefix}.")


def _prefixes(name: str) -> Iterator[str]:
    parts = name.split(".")
    return (".".join(parts[:end]) for end in range(1, len(parts) + 1))
