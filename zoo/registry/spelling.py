"""Names that are spelled almost like a known name."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence


def list_close(asked: str, names: Iterable[str]) -> list[str]:
    """Return the names that are most similar to a wrong name."""
    import difflib

    return difflib.get_close_matches(asked.lower(), list(names), n=3, cutoff=0.75)


def describe_unknown(name: str, known: Sequence[str]) -> str:
    """Return the message about an option that does not exist."""
    similar = list_close(name, known)
    advice = f"did you mean {' or '.join(similar)}? The" if similar else "the"
    return f"no option {name!r}; {advice} options are {', '.join(known)}."


def correct_case(name: str, known: Collection[str]) -> str:
    """If exactly one known name equals this name when case is ignored, return it; else return the name unchanged."""
    if name in known:
        return name
    spellings = [spelling for spelling in known if spelling.lower() == name.lower()]
    return spellings[0] if len(spellings) == 1 else name
