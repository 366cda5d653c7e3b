"""The fold of a run of a cross-validation."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from zoo.errors import OptionError

#: Maximum number of folds of a cross-validation. There is a run for each of them.
MAX_FOLDS = 1000


@dataclass(frozen=True)
class Fold:
    """A fold, whose images are held out from training and used for validation. It is parsed once from ``fold``."""

    #: Number of the fold, from 1 to ``count``.
    number: int
    #: Number of folds, at least 2.
    count: int

    @classmethod
    def parse(cls, text: str) -> Fold:
        """Parse a number of a fold and the number of folds, such as ``3/5``.

        Raises:
            OptionError: If the string is anything else.
        """
        match = re.fullmatch(r"([1-9][0-9]{0,8})/([1-9][0-9]{0,8})", text)
        if not match or not int(match[1]) <= int(match[2]) or int(match[2]) < 2:
            raise OptionError(
                f"invalid `fold` {text!r}; pass the number of a fold and the number of folds, such as 3/5."
            )
        return cls(int(match[1]), int(match[2]))

    def __str__(self) -> str:
        return f"{self.number}/{self.count}"


def list_folds(count: Any) -> list[Fold]:
    """Return all folds of a cross-validation.

    Raises:
        OptionError: If ``count`` is not a whole number between 2 and `MAX_FOLDS`.
    """
    if type(count) is not int:
        raise OptionError(f"`folds` must be a whole number, got {count!r}.")
    if not 2 <= count <= MAX_FOLDS:
        limit = "least 2" if count < 2 else f"most {MAX_FOLDS:,}"
        raise OptionError(f"`folds` must be at {limit}, got {count}.")
    return [Fold(number, count) for number in range(1, count + 1)]
