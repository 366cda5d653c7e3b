"""Short prefixes that cover some parameter names and no others."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator, Mapping

Owner = TypeVar("Owner", bound="Hashable")


def shortest_prefixes(owners: Mapping[str, Owner]) -> dict[Owner, tuple[str, ...]]:
    """Find for each owner the fewest dotted prefixes that cover all of its names and nobody else's.

    Args:
        owners: Each parameter name with what it belongs to.
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
    """Whether a dotted prefix covers a parameter name: ``layer1`` covers ``layer1.0.bias``, not ``layer10.bias``."""
    return name == prefix or name.startswith(f"{prefix}.")


def _prefixes(name: str) -> Iterator[str]:
    parts = name.split(".")
    return (".".join(parts[:end]) for end in range(1, len(parts) + 1))
