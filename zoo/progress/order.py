"""Sort names as people do."""

from __future__ import annotations

import re
from collections.abc import Iterable

_DIGITS = re.compile(r"([0-9]+)")


def sort_names(names: Iterable[str]) -> list[str]:
    """Return names sorted for display: ``class 2`` comes before ``class 10``."""
    return sorted(names, key=lambda name: (_make_key(name), name))


def _make_key(name: str) -> list[tuple[bool, int, str]]:
    """Return the parts of a name. Numbers come before text, and a number with more digits is larger."""
    parts = [part for part in _DIGITS.split(name) if part]
    return [
        _key_of_number(part.lstrip("0")) if _DIGITS.fullmatch(part) else (True, 0, part.casefold()) for part in parts
    ]


def _key_of_number(digits: str) -> tuple[bool, int, str]:
    return False, len(digits), digits
