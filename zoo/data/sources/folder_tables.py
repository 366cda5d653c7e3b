"""List the images of a folder that contains a label table in the format of Hugging Face or Roboflow.

metadata.csv  train/1.jpg  test/2.jpg                                One table for all splits.
train/metadata.csv  train/1.jpg  test/metadata.csv  test/2.jpg       One table for each split.
train/_classes.csv  train/1.jpg  valid/_classes.csv  valid/2.jpg     The same, with a column for each class.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from zoo.data.listing import SPLITS, LeftOut, Listing, merge_listings
from zoo.data.sources.columns import NoColumn, find_columns
from zoo.data.sources.entries import Entries, find_unsupported, list_entries
from zoo.data.sources.table import list_table
from zoo.data.sources.table_rows import read_rows
from zoo.data.sources.walk import walk_files
from zoo.data.split_names import find_split
from zoo.errors import DataError

if TYPE_CHECKING:
    from zoo.registry.data_options import DataOptions

_TABLES = ("metadata.csv", "metadata.jsonl", "metadata.parquet", "_classes.csv")


def list_folder_tables(folder: Path, options: DataOptions, entries: Entries | None = None) -> Listing | None:
    """List the images in the tables of a folder; None if it contains no table of labels.

    Args:
        folder: The folder.
        options: Names of the columns.
        entries: Contents of the folder, if they are already listed.

    Raises:
        DataError: If a table cannot be used, there are two for one split, or only some splits have a table.
    """
    folders = (entries or list_entries(folder)).folders
    if table := _find_table(folder, options):
        inner = (_find_table(path, options) for path in folders if find_split(path.name))
        if other := next(filter(None, inner), None):
            raise _refuse_both(table, other)
        return _complete(list_table(table, options, is_own=False), folder, [table])
    tables: dict[str, Path] = {}
    for path in folders:
        if (split := find_split(path.name)) and (table := _find_table(path, options)):
            if split in tables:
                raise DataError(f"{str(tables[split])!r} and {str(table)!r} are both tables of {split}; keep one.")
            tables[split] = table
    if not tables:
        # Archives often contain a single folder with everything else inside.
        return list_folder_tables(folders[0], options) if len(folders) == 1 else None
    with_tables = {table.parent for table in tables.values()}
    if bare := [path for path in folders if find_split(path.name) and path not in with_tables]:
        raise DataError(
            f"{str(next(iter(tables.values())))!r} is a table of labels, but {str(bare[0])!r} has none; add one, or "
            "move one of them elsewhere."
        )
    merged = merge_listings(
        [list_table(tables[split], options, split=split, is_own=False) for split in SPLITS if split in tables]
    )
    return _complete(merged, folder, list(tables.values()))


def has_table(folder: Path) -> bool:
    """Return whether a folder, or one of its subfolders, contains a file that is named like a table of labels."""
    folders = list_entries(folder).folders
    inner = list_entries(folders[0]).folders if len(folders) == 1 else ()
    return any((path / name).is_file() for path in (folder, *folders, *inner) for name in _TABLES)


def _complete(listing: Listing, folder: Path, tables: Sequence[Path]) -> Listing:
    """Add a note that names the tables, and the images in the folder that the tables do not list."""
    listed = {file.path for file in listing.files} | {item.path for item in listing.left_out}
    others = [
        LeftOut(path, reason or "not in the table of labels")
        for path, reason in walk_files(folder)
        if find_unsupported(path) is None and path not in listed
    ]
    shown = ", ".join(repr(str(path)) for path in tables)
    return replace(
        listing,
        left_out=tuple(sorted((*listing.left_out, *others), key=lambda item: str(item.path))),
        notes=(f"the labels come from {shown}, not from the names of folders", *listing.notes),
    )


def _find_table(folder: Path, options: DataOptions) -> Path | None:
    """Return the table of labels in a folder. Hugging Face's metadata often has captions instead of labels."""
    found = [path for name in _TABLES if (path := folder / name).is_file() and _has_labels(path, options)]
    if len(found) > 1:
        raise _refuse_both(*found[:2])
    return found[0] if found else None


def _refuse_both(one: Path, other: Path) -> DataError:
    return DataError(f"{str(one)!r} and {str(other)!r} are both tables of labels for the same images; keep one.")


def _has_labels(path: Path, options: DataOptions) -> bool:
    try:
        rows = [cells for _, cells in itertools.islice(read_rows(path), 2)]
        find_columns(rows[0] if rows else [], rows[-1] if rows else [], options.columns)
    except NoColumn:
        return False
    except DataError as error:
        raise DataError(f"cannot use the table {str(path)!r}: {error}.") from error
    return True
