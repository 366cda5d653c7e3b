"""List the images of a table with a row for each image: its path, its label, and optionally other columns.

    path,label,split
    bulbasaur/1.png,bulbasaur,train

Paths are relative to the table's folder. If the table has no split column, but all paths contain the name of a split,
these are the splits.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from zoo.data.collector import pausing_collector
from zoo.data.listing import ImageFile, LeftOut, Listing
from zoo.data.sources.class_names import note_missing_labels
from zoo.data.sources.columns import WEIGHTS, Columns, find_columns, note_unused_weight
from zoo.data.sources.path_splits import note_file_names, split_by_path
from zoo.data.sources.row_reader import RowReader
from zoo.data.sources.spare_columns import SpareColumns
from zoo.data.sources.table_rows import Row, read_rows
from zoo.data.sources.unlabeled_table import list_unlabeled_rows
from zoo.errors import DataError
from zoo.registry.data_options import ROLES

if TYPE_CHECKING:
    from zoo.registry.data_options import DataOptions

LAYOUT = "a table needs a column for the image path and one for the label"


def list_table(path: Path, options: DataOptions, *, split: str | None = None, is_own: bool = True) -> Listing:
    """List the images of a table.

    Args:
        path: A .csv, .tsv, .jsonl or .parquet file.
        options: Column names.
        split: Split of all rows; None means that the table names it, or has no splits.
        is_own: Whether the user named the table. Tables in downloaded folders may not point outside their folder.

    Raises:
        DataError: If the table cannot be read, has no column for the image or the label, or contradicts itself.
    """
    origin = f"table {str(path)!r}"
    return list_rows(read_rows(path), path.parent, options, origin=origin, split=split, is_own=is_own)


def list_rows(  # noqa: PLR0913  # three of them are keywords with a default or for messages
    rows: Iterator[Row], folder: Path, options: DataOptions, *, origin: str, split: str | None, is_own: bool = True
) -> Listing:
    """List the images of the rows of a table.

    Args:
        rows: Rows of the table. The first one may contain the column names.
        folder: Folder to which the paths are relative.
        options: Column names.
        origin: Name of the table, for error messages.
        split: Split of all rows; None means that the table names it, or has no splits.
        is_own: Whether the user named the table. Other tables may not point outside the folder.

    Raises:
        DataError: If the table has no column for the image or the label, or contradicts itself.
    """
    try:
        if not options.needs_labels:
            return list_unlabeled_rows(rows, folder, options, is_own=is_own)
        first = list(itertools.islice(rows, 2))
        if not first:
            raise DataError("it is empty")
        columns = find_columns(first[0][1], first[-1][1], options.columns)
        reader = RowReader(folder, columns, first[0][1], split, is_own=is_own)
        has_splits = split is not None or columns.split is not None
        spare = None if has_splits else SpareColumns(columns, _name_columns(columns, first[0][1]))
        files, left_out = _read_all(itertools.chain(first[1 if columns.has_header else 0 :], rows), reader, spare)
        if not files:
            reason = f"; {str(left_out[0].path)!r}: {left_out[0].reason}" if left_out else ""
            raise DataError(f"no row contains an image and its label{reason}")
        if not has_splits and (by_path := split_by_path(files)):
            files, has_splits = by_path, True
    except DataError as error:
        raise DataError(f"cannot use the {origin}: {error}.") from error
    notes = (
        _describe_columns(columns, first[0][1]),
        *_note_unused_weights(columns, first[0][1]),
        *note_missing_labels(file.class_name for file in files),
        *([] if has_splits else note_file_names(files)),
    )
    return Listing.of_files(files, left_out, LAYOUT, has_splits=has_splits, notes=notes)


@pausing_collector()
def _read_all(
    rows: Iterator[Row], reader: RowReader, spare: SpareColumns | None
) -> tuple[list[ImageFile], list[LeftOut]]:
    """Return the used and the skipped images. An image must not have two labels or be in two splits."""
    files: dict[str, ImageFile] = {}
    left_out: list[LeftOut] = []
    for number, cells in rows:
        file = reader.read(number, cells)
        if spare:
            spare.watch(cells)
        if isinstance(file, LeftOut):
            left_out.append(file)
            continue
        other = files.setdefault(reader.identify(file), file)
        if (other.split, other.class_name) != (file.split, file.class_name):
            raise DataError(
                f"line {number} lists {file.name!r} as {file.class_name!r} in {file.split}, "
                f"but an earlier line lists it as {other.class_name!r} in {other.split}"
            )
        if other.loss_weight != file.loss_weight:
            raise DataError(
                f"line {number} gives {file.name!r} the weight {file.loss_weight:g}, "
                f"but an earlier line gives it {other.loss_weight:g}"
            )
        if other.group != file.group:
            raise DataError(
                f"line {number} lists {file.name!r} in the group {file.group or ''!r}, "
                f"but an earlier line lists it in {other.group or ''!r}"
            )
        if other is not file:
            left_out.append(LeftOut(file.path, f"line {number} repeats an earlier line", file.split))
    if spare:
        spare.check()
    return list(files.values()), left_out


def _name_columns(columns: Columns, first: list[str]) -> list[str]:
    return first if columns.has_header else [str(number) for number in range(1, len(first) + 1)]


def _describe_columns(columns: Columns, first: list[str]) -> str:
    """Return which column is used for what."""
    used = {role: index for role in ROLES if (index := getattr(columns, role)) is not None}
    named = [
        f"{role} {first[index]!r}" if columns.has_header else f"{role} {index + 1}" for role, index in used.items()
    ]
    one_hot = [f"one for each of {len(columns.one_hot)} classes"] if columns.one_hot else []
    return f"columns of the table: {', '.join(named + one_hot)}"


def _note_unused_weights(columns: Columns, first: list[str]) -> list[str]:
    """Return a note if a column may contain loss weights, but may as well contain the weight of what an image shows."""
    if columns.weight is not None or not columns.has_header:
        return []
    unused = set(range(len(first))) - {columns.image, columns.label, columns.split, columns.group, *columns.one_hot}
    return [note_unused_weight(first[index]) for index in sorted(unused) if first[index].strip().lower() in WEIGHTS]
