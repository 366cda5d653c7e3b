"""A number with a unit, such as the 30M of ``--max-params``."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:  # ParamType is generic only in newer releases of click
    NumberType = click.ParamType[int]
else:
    NumberType = click.ParamType

_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "b": 10**9}
#: Minimum for a number without a unit; for a smaller number, the user has probably forgotten the unit.
FEWEST = 1000


class Count(NumberType):
    """A number with an optional unit, such as 30M."""

    name = "number"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Convert a string such as 30M to a number."""
        match = re.fullmatch(r"(\d{1,15}(?:\.\d{1,15})?)([kmgb]?)", str(value).lower())
        if match is None:
            self.fail(f"{value!r} is not a number; write it as 30M or 500k.", param, ctx)
        if not match[2] and float(match[1]) < FEWEST:
            self.fail(f"no backbone has so few parameters; did you mean {value}M?", param, ctx)
        return round(float(match[1]) * _UNITS[match[2]])
