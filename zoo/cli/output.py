"""The formats of results: JSON and CSV for programs; tables and short numbers for people."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Sequence
from itertools import chain
from typing import Any

import click

from zoo.cli.streams import print_exactly
from zoo.progress.csv_rows import format_csv
from zoo.progress.printable import make_printable

#: The flag of all commands that can answer in JSON.
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


def print_json(answer: Any) -> None:
    """Print a result as JSON; dataclasses become objects, and numbers that are not finite become null."""
    text = json.dumps(answer, default=dataclasses.asdict)
    print_exactly(f"{json.dumps(json.loads(text, parse_constant=lambda _name: None), indent=2)}\n")


def print_csv(rows: Iterable[Sequence[str | float]]) -> None:
    """Print rows as CSV."""
    print_exactly(format_csv(rows))


def format_table(rows: Sequence[Sequence[str]], right: Sequence[int] = ()) -> list[str]:
    """Align rows in columns, and return the lines.

    Args:
        rows: The titles, then the rows. All have the same length.
        right: Indices of the columns that are aligned to the right.
    """
    # The table of all backbones has thousands of cells, and usually all of them are printable.
    text = "".join(chain.from_iterable(rows))
    cells = rows if make_printable(text) == text else [[make_printable(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    sides = (">" if index in right else "<" for index in range(len(widths)))
    aligned = "  ".join(f"{{:{side}{width}}}" for side, width in zip(sides, widths, strict=True))
    return [aligned.format(*row).rstrip() for row in cells]


def format_count(count: int) -> str:
    """Shorten a number of parameters or bytes, such as 11,689,512 to ``11.7M``."""
    if count < 1000:
        return str(count)
    # A number that would round to 1000.0 belongs to the next unit: 999,950 is 1.0M.
    unit, name = (10**3, "k") if count < 999_950 else (10**6, "M") if count < 999_950_000 else (10**9, "G")
    return f"{count / unit:.1f}{name}"
