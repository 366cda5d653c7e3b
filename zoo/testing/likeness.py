"""What a misspelt name may have meant."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def sort_by_likeness(name: str, known: Iterable[str]) -> list[str]:
    """Sort names that exist, the ones most like a wrong one first."""
    names = sorted({*known})
    return difflib.get_close_matches(name, names, n=max(1, len(names)), cutoff=0.0)


def name_likest(name: str, known: Iterable[str]) -> str:
    """Say what exists that is most like a wrong name: ``there are layer1, layer2, stem (12 in all)``."""
    names = sort_by_likeness(name, known)
    return f"there are {', '.join(names[:3])} ({len(names)} in all)" if names else "there are none"


def list_prefixes(names: Iterable[str]) -> list[str]:
    """List all dotted prefixes of dotted names, the names themselves too."""
    parts = [name.split(".") for name in names]
    return sorted({".".join(path[:end]) for path in parts for end in range(1, len(path) + 1)})
