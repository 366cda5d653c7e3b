"""Rows of CSV, in which untrusted text is escaped."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence

from zoo.progress.printable import escape_csv


def format_csv(rows: Iterable[Sequence[str | float]]) -> str:
    """Return rows as CSV. Text is escaped; numbers are not."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")  # noqa: TID251  # the only one
    writer.writerows([escape_csv(cell) if isinstance(cell, str) else cell for cell in row] for row in rows)
    return text.getvalue()
