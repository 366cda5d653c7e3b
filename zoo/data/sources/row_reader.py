"""The meaning of the cells in a row of a table: the path, label, split, group and loss weight of an image."""

from __future__ import annotations

import math
import posixpath
import sys
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PureWindowsPath

from zoo.data.listing import ImageFile, LeftOut
from zoo.data.sources.columns import MARKS, Columns
from zoo.data.sources.entries import find_unsupported
from zoo.data.sources.table_rows import NOT_TEXT
from zoo.data.split_names import WORDS, find_split
from zoo.errors import DataError
from zoo.progress.printable import is_printable
from zoo.registry.data_options import ROLES

#: Smallest and largest weight above 0. Sums and ratios of such weights are exact enough in fp32.
LEAST_WEIGHT, MOST_WEIGHT = 1e-9, 1e9


@dataclass(frozen=True, slots=True)
class RowReader:
    """What the cells of a row mean."""

    folder: Path
    columns: Columns
    #: Cells of the first row, usually the names of the columns.
    names: Sequence[str]
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
        if not is_printable(class_name):
            raise DataError(f"line {number} has the unprintable label {class_name!r}")
        if reason := find_unsupported(location) or (None if class_name else "no label"):
            return LeftOut(self.folder / location, reason, self.split)
        return ImageFile(
            self.folder,
            location,
            self._find_split(number, cells),
            class_name,
            unicodedata.normalize("NFC", name.replace("\\", "/")),
            None if self.columns.group is None else sys.intern(cells[self.columns.group].strip()) or None,
            loss_weight=self._find_weight(number, cells),
        )

    def identify(self, file: ImageFile) -> str:
        """Return a path that is the same for ``1.png``, ``./1.png`` and its absolute path."""
        name = posixpath.normpath(file.name)
        if name.startswith("../"):
            name = posixpath.normpath(f"{self.folder.absolute().as_posix()}/{name}")
        if name.startswith("/"):
            name = name.removeprefix(f"{self.folder.absolute().as_posix()}/")
        return file.name if name == file.name else name  # An equal string would need memory.

    def locate(self, number: int, cells: list[str]) -> str:
        """Return the path of the image of a row, relative to the table."""
        return self._locate(self._find_name(number, cells))

    def _find_name(self, number: int, cells: list[str]) -> str:
        if len(cells) != len(self.names):
            raise DataError(f"line {number} has {len(cells)} cells instead of {len(self.names)}")
        if NOT_TEXT in cells:
            self._refuse_objects(number, cells)
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

    def _refuse_objects(self, number: int, cells: list[str]) -> None:
        """Refuse lists, objects and the like in the columns in use. In other columns, they do no harm."""
        used = {*(getattr(self.columns, role) for role in ROLES), *self.columns.one_hot}
        for index, cell in enumerate(cells):
            if cell is NOT_TEXT and index in used:
                raise DataError(f"row {number}: {self.names[index]!r} is neither text nor a number")

    def _locate(self, name: str) -> str:
        """Return the path of an image, relative to the table. Tables that were made on Windows contain backslashes."""
        return name.replace("\\", "/") if "\\" in name and not (self.folder / name).exists() else name

    def _find_class(self, number: int, cells: list[str]) -> str:
        if self.columns.label is not None:
            return cells[self.columns.label].strip()
        marked = {name: cells[index].strip() for index, name in self.columns.one_hot.items()}
        if (unclear := next((value for value in marked.values() if value.lower() not in MARKS), None)) is not None:
            raise DataError(f"line {number} has {unclear!r} in a class column; it must be 0 or 1, or True or False")
        names = [name for name, value in marked.items() if MARKS[value.lower()]]
        if len(names) > 1:
            raise DataError(f"line {number} has {len(names)} classes; each image must have exactly one")
        return names[0] if names else ""

    def _find_split(self, number: int, cells: list[str]) -> str:
        if self.columns.split is None:
            return self.split or "train"
        name = cells[self.columns.split]
        split = find_split(name)
        if self.split:
            if split not in (None, self.split):
                raise DataError(
                    f"line {number} is in {split} according to its column, but the table is in {self.split}"
                )
            return self.split
        if split is None:
            raise DataError(f"line {number} has the unknown split {name!r}; splits are {', '.join(WORDS)}")
        return split

    def _find_weight(self, number: int, cells: list[str]) -> float:
        if self.columns.weight is None:
            return 1.0
        try:
            return parse_weight(cells[self.columns.weight])
        except DataError as error:
            raise DataError(f"line {number} has {error}") from error


def parse_weight(text: str) -> float:
    """Return a loss weight.

    Raises:
        DataError: If it is missing, or is not 0 or a number in the allowed range. The message says what a row has.
    """
    if not text.strip():
        raise DataError("no weight")
    try:
        weight = float(text)
    except ValueError:
        weight = math.nan
    if not (weight == 0 or LEAST_WEIGHT <= weight <= MOST_WEIGHT):  # also refuses NaN
        raise DataError(
            f"the weight {text.strip()[:80]!r}; it must be 0, or a number from {LEAST_WEIGHT:g} to {MOST_WEIGHT:g}"
        )
    return weight
