"""Plain columns and short figures for people."""

from __future__ import annotations

from collections.abc import Sequence


def format_table(rows: Sequence[Sequence[str]], right: Sequence[int] = ()) -> str:
    """Align rows in columns, the first row being the titles; ``right`` names the columns of figures."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    sides = (">" if index in right else "<" for index in range(len(widths)))
    aligned = "  ".join(f"{{:{side}{width}}}" for side, width in zip(sides, widths, strict=True))
    return "\n".join(aligned.format(*row).rstrip() for row in rows)


def format_count(count: int) -> str:
    """Shorten a number of parameters or bytes: 11.7M."""
    if count < 1000:
        return str(count)
    # 999,950 is 1.0M: what would round to a thousand belongs to the next unit.
    unit, name = (10**3, "k") if count < 999_950 else (10**6, "M") if count < 999_950_000 else (10**9, "G")
    return f"{count / unit:.1f}{name}"
