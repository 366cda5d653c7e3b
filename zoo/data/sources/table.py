"""List the images of a table with a row for each image: its path, its label, and optionally its split and group.

    path,label,split
    bulbasaur/1.png,bulbasaur,train

Paths are relative to the folder of the table. If the table has no column for the split, but all paths contain the name
of a split, these are the splits.
"""

from __future__ import annotations

import itertools
import posixpath
import sys
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PureWindowsPath
from typing import TYPE_CHECKING

from zoo.data.listing import ImageFile, LeftOut, Listing
from zoo.data.sources.columns import Columns, find_columns, find_image_column
from zoo.data.sources.entries import find_unsupported
from zoo.data.sources.path_splits import split_by_path
from zoo.data.sources.spare_columns import SpareColumns
from zoo.data.sources.table_rows import Row, read_rows
from zoo.data.split_names import WORDS, find_split
from zoo.errors import DataError

if TYPE_CHECKING:
    from zoo.registry.data_options import DataOptions

LAYOUT = "a table needs a column for the path of the image and one for its label"


def list_table(path: Path, options: DataOptions, *, split: str | None = None, is_own: bool = True) -> Listing:
    """List the images of a table.

    Args:
        path: A .csv, .tsv, .jsonl or .parquet file.
        options: Names of the columns.
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
        rows: Rows of the table. The first one may contain the names of the columns.
        folder: Folder to which the paths are relative.
        options: Names of the columns.
        origin: Name of the table, for error messages.
        split: Split of all rows; None means that the table names it, or has no splits.
        is_own: Whether the user named the table. Other tables may not point outside the folder.

    Raises:
        DataError: If the table has no column for the image or the label, or contradicts itself.
    """
    try:
        first = list(itertools.islice(rows, 2))
        if not first:
            raise DataError("it is empty")
        columns = find_columns(first[0][1], first[-1][1], options.columns)
        reader = _RowReader(folder, columns, len(first[0][1]), split, is_own=is_own)
        has_splits = split is not None or columns.split is not None
        spare = None if has_splits else SpareColumns(columns, _name_columns(columns, first[0][1]))
        files, left_out = _read_all(itertools.chain(first[1 if columns.has_header else 0 :], rows), reader, spare)
        if not files:
            reason = f"; {str(left_out[0].path)!r}: {left_out[0].reason}" if left_out else ""
            raise DataError(f"no row names an image and its label{reason}")
        if not has_splits and (by_path := split_by_path(files)):
            files, has_splits = by_path, True
    except DataError as error:
        raise DataError(f"cannot use the {origin}: {error}.") from error
    notes = (_describe_columns(columns, first[0][1]),)
    return Listing.of_files(files, left_out, LAYOUT, has_splits=has_splits, notes=notes)


def list_paths(path: Path) -> list[tuple[Path, str | None]]:
    """List the images of a table that needs no labels, each with the reason why it cannot be used, or None.

    Raises:
        DataError: If the table cannot be read, or has no column for the image.
    """
    try:
        rows = read_rows(path)
        number, first = next(rows, (0, []))
        columns = find_image_column(first)
        reader = _RowReader(path.parent, columns, len(first), None, is_own=True)
        return [
            (path.parent / location, find_unsupported(location))
            for location in itertools.starmap(
                reader.locate, rows if columns.has_header else itertools.chain([(number, first)], rows)
            )
        ]
    except DataError as error:
        raise DataError(f"cannot use the table {str(path)!r}: {error}.") from error


def _read_all(
    rows: Iterator[Row], reader: _RowReader, spare: SpareColumns | None
) -> tuple[list[ImageFile], list[LeftOut]]:
    """Return the images, and those that are left out. An image must not have two labels or be in two splits."""
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
        if other is not file:
            left_out.append(LeftOut(file.path, f"line {number} repeats an earlier line"))
    if spare:
        spare.check()
    return list(files.values()), left_out


@dataclass(frozen=True, slots=True)
class _RowReader:
    """What the cells of a row mean."""

    folder: Path
    columns: Columns
    width: int
    split: str | None
    is_own: bool

    def read(self, number: int, cells: list[str]) -> ImageFile | LeftOut:
        """Return the image of a row.

        Raises:
            DataError: If the row has too few or too many cells, or a cell is invalid.
        """
        name = self._find_name(number, cells)
        location = self._locate(name)
        class_name = sys.intern(unicodedata.normalize("NFC", self._find_class(number, cells)))
        if not class_name.isprintable():
            raise DataError(f"line {number} has the unprintable label {class_name!r}")
        if reason := find_unsupported(location) or (None if class_name else "no label"):
            return LeftOut(self.folder / location, reason)
        return ImageFile(
            self.folder,
            location,
            self._find_split(number, cells),
            class_name,
            unicodedata.normalize("NFC", name.replace("\\", "/")),
            None if self.columns.group is None else sys.intern(cells[self.columns.group].strip()) or None,
        )

    def identify(self, file: ImageFile) -> str:
        """Return a path that is the same for ``1.png``, ``./1.png`` and its absolute path."""
        name = posixpath.normpath(file.name)
        if name.startswith("/"):
            name = name.removeprefix(f"{self.folder.absolute().as_posix()}/")
        return file.name if name == file.name else name  # An equal string would need memory.

    def locate(self, number: int, cells: list[str]) -> str:
        """Return the path of the image of a row, relative to the table."""
        return self._locate(self._find_name(number, cells))

    def _find_name(self, number: int, cells: list[str]) -> str:
        if len(cells) != self.width:
            raise DataError(f"line {number} has {len(cells)} cells instead of {self.width}")
        name = cells[self.columns.image].strip()
        if not name:
            raise DataError(f"line {number} has no path")
        if "\0" in name:
            raise DataError(f"line {number} has a NUL in the path {name!r}")
        if "://" in name:
            raise DataError(f"line {number} contains the URL {name!r}; download the images and list their paths")
        if not self.is_own and (PureWindowsPath(name).anchor or ".." in PureWindowsPath(name).parts):
            raise DataError(f"line {number} names {name!r}, which is outside the folder of the table")
        return name

    def _locate(self, name: str) -> str:
        """Return the path of an image, relative to the table. Tables that were made on Windows contain backslashes."""
        return name.replace("\\", "/") if "\\" in name and not (self.folder / name).exists() else name

    def _find_class(self, number: int, cells: list[str]) -> str:
        if self.columns.label is not None:
            return cells[self.columns.label].strip()
        marked = {name: cells[index].strip() for index, name in self.columns.one_hot.items()}
        if unclear := next((value for value in marked.values() if value not in ("0", "1")), None):
            raise DataError(f"line {number} has {unclear!r} in the column of a class; it must be 0 or 1")
        names = [name for name, value in marked.items() if value == "1"]
        if len(names) > 1:
            raise DataError(f"line {number} has {len(names)} classes; each image must have exactly one")
        return names[0] if names else ""

    def _find_split(self, number: int, cells: list[str]) -> str:
        if self.split or self.columns.split is None:
            return self.split or "train"
        name = cells[self.columns.split]
        if (split := find_split(name)) is None:
            raise DataError(f"line {number} has the unknown split {name!r}; splits are {', '.join(WORDS)}")
        return split


def _name_columns(columns: Columns, first: list[str]) -> list[str]:
    return first if columns.has_header else [str(number) for number in range(1, len(first) + 1)]


def _describe_columns(columns: Columns, first: list[str]) -> str:
    """Return which column is used for what."""
    chosen = {"image": columns.image, "label": columns.label, "split": columns.split, "group": columns.group}
    used = {role: index for role, index in chosen.items() if index is not None}
    named = [
        f"{role} {first[index]!r}" if columns.has_header else f"{role} {index + 1}" for role, index in used.items()
    ]
    one_hot = [f"one for each of {len(columns.one_hot)} classes"] if columns.one_hot else []
    return f"columns of the table: {', '.join(named + one_hot)}"
