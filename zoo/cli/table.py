"""Plain columns and short figures for people."""

from __future__ import annotations

from collections.abc import Sequence


def format_table(rows: Sequence[Sequence[str]], right: Sequence[int] = ()) -> str:
    """Align rows in columns, the first row being the titles; ``right`` names the columns of figures."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    aligned = (
        (cell.rjust(width) if index in right else cell.ljust(width))
        for row in rows
        for index, (cell, width) in enumerate(zip(row, widths, strict=True))
    )
    count = len(widths)
    return "\n".join("  ".join(next(aligned) for _ in range(count)).rstrip() for _ in rows)


def format_count(count: int) -> str:
    """Shorten a number of parameters or bytes: 11.7M."""
    for unit, name in ((10**9, "G"), (10**6, "M"), (10**3, "k")):
        if count >= unit:
            return f"{count / unit:.1f}{name}"
    return str(count)
