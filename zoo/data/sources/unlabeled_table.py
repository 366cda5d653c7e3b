"""List the images of a table that needs no labels."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from zoo.data.listing import ImageFile, LeftOut, Listing
from zoo.data.sources.columns import find_image_column
from zoo.data.sources.entries import find_unsupported
from zoo.data.sources.row_reader import RowReader
from zoo.errors import DataError

if TYPE_CHECKING:
    from zoo.data.sources.table_rows import Row
    from zoo.registry.data_options import DataOptions


def list_unlabeled_rows(rows: Iterator[Row], folder: Path, options: DataOptions, *, is_own: bool) -> Listing:
    """List the images of the rows of a table, in the order of the rows. Every row counts, also if it repeats another.

    Args:
        rows: Rows of the table. The first one may contain the column names.
        folder: Folder to which the paths are relative.
        options: Name of the image column.
        is_own: Whether the user named the table. Other tables may not point outside the folder.

    Raises:
        DataError: If the table has no column for the image. The message is a clause without a period.
    """
    number, first = next(rows, (0, []))
    if not first:
        raise DataError("it is empty")
    columns = find_image_column(first, options.columns.get("image"))
    reader = RowReader(folder, columns, first, None, is_own=is_own)
    found = rows if columns.has_header else itertools.chain([(number, first)], rows)
    locations = itertools.starmap(reader.locate, found)
    column = repr(first[columns.image]) if columns.has_header else str(columns.image + 1)
    return Listing.unlabeled(
        (_make_row(folder, location) for location in locations), (f"columns of the table: image {column}",)
    )


def _make_row(folder: Path, location: str) -> ImageFile | LeftOut:
    if reason := find_unsupported(location):
        return LeftOut(folder / location, reason)
    return ImageFile(folder, location, "test", "", location)
