"""A limit that an environment variable can change."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass

from zoo.errors import OptionError

_WHOLE = re.compile(r"[0-9]{1,18}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """A limit that an environment variable can change."""

    variable: str
    default: int
    unit: str
    #: What the limit bounds.
    bounds: str
    #: Reason for the default.
    reason: str
    least: int = 1

    def read(self) -> int:
        """Return the value of the variable, or the default if it is not set or empty.

        Raises:
            OptionError: If the value is not a whole number, or is too small.
        """
        if not (text := os.environ.get(self.variable, "")):
            return self.default
        if _WHOLE.fullmatch(text) and int(text) >= self.least:
            return int(text)
        raise OptionError(
            f"{self.variable} must be a whole number of {self.unit}, at least {self.least}, got {text!r}."
        )

    def explain(self, measured: int, *, is_complete: bool = True) -> str:
        """Return what was measured, what is allowed and how to allow more, without a period at the end.

        Args:
            measured: What was measured.
            is_complete: Whether this value would be enough. Counting may have stopped at the limit.
        """
        this, number = ("this", f"{measured} or more") if is_complete else ("more", "a larger number")
        more = f"to allow {this}, set {self.variable} to {number}"
        return f"{measured:,} {self.unit}, but {self.variable} allows only {self.read():,}; {more}"
