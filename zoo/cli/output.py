"""What commands print: JSON for programs; tables and short numbers for people."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from typing import Any

import click


def print_json(answer: Any) -> None:
    """Print a result as JSON; dataclasses become objects."""
    click.echo(json.dumps(answer, indent=2, default=dataclasses.asdict))


def format_table(rows: Sequence[Sequence[str]], right: Sequence[int] = ()) -> str:
    """Align rows in columns.

    Args:
        rows: The titles, then the rows. All have the same length.
        right: Indices of the columns that are aligned to the right.
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    sides = (">" if index in right else "<" for index in range(len(widths)))
    aligned = "  ".join(f"{{:{side}{width}}}" for side, width in zip(sides, widths, strict=True))
    return "\n".join(aligned.format(*row).rstrip() for row in rows)


def format_count(count: int) -> str:
    """Shorten a number of parameters or bytes, such as 11,689,512 to ``11.7M``."""
    if count < 1000:
        return str(count)
    # A number that would round to 1000.0 belongs to the next unit: 999,950 is 1.0M.
    unit, name = (10**3, "k") if count < 999_950 else (10**6, "M") if count < 999_950_000 else (10**9, "G")
    return f"{count / unit:.1f}{name}"
