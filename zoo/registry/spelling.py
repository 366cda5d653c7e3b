"""Names that are spelled almost like a known name."""

from __future__ import annotations

from collections.abc import Collection, Iterable


def list_close(asked: str, names: Iterable[str]) -> list[str]:
    """Return the names that are most similar to a wrong name."""
    import difflib

    return difflib.get_close_matches(asked.lower(), list(names), n=3, cutoff=0.75)


def correct_case(name: str, known: Collection[str]) -> str:
    """If exactly one known name equals this name when case is ignored, return it; else return the name unchanged."""
    if name in known:
        return name
    spellings = [spelling for spelling in known if spelling.lower() == name.lower()]
    return spellings[0] if len(spellings) == 1 else name
