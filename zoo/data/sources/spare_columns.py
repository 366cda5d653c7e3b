"""Columns of a table that zoo does not use, although they may contain the splits."""

from __future__ import annotations

from collections.abc import Sequence

from zoo.data.sources.columns import MARKS, Columns
from zoo.data.split_names import find_split, find_split_of_file
from zoo.errors import DataError

#: A column with more different cells, such as a caption, does not contain splits.
_MAX_CELLS = 20


class SpareColumns:
    """Watches the columns without a role, each of which may turn out to contain the names of splits.

    Args:
        columns: Columns in use.
        names: Name of each column, or its number.
    """

    def __init__(self, columns: Columns, names: Sequence[str]) -> None:
        used = {columns.image, columns.label, columns.group, columns.weight, *columns.one_hot}
        self._names = names
        #: The different cells so far, by the index of the column.
        self._cells: dict[int, set[str]] = {index: set() for index in range(len(names)) if index not in used}

    def watch(self, cells: Sequence[str]) -> None:
        """Look at a row."""
        for index in tuple(self._cells):
            self._cells[index].add(cells[index])
            if len(self._cells[index]) > _MAX_CELLS:
                del self._cells[index]

    def check(self) -> None:
        """Check that no spare column divides the images into splits.

        Raises:
            DataError: If the cells of a column are names of splits, or a column says whether an image is in a split.
        """
        for index, cells in self._cells.items():
            name, filled = self._names[index], {text for cell in cells if (text := cell.strip())}
            if len(splits := _find_splits(filled)) > 1:
                raise DataError(
                    f"is the column {name!r} the split of each image? It contains {', '.join(sorted(splits))}. If it "
                    f"is, add split={name} to `columns`; if it is not, remove the column"
                )
            if find_split_of_file(name) and {MARKS.get(text.lower()) for text in filled} == {False, True}:
                raise DataError(
                    f"is the column {name!r} the split of each image? If it is, replace it with a column `split` that "
                    "contains train, val or test; if it is not, remove the column"
                )


def _find_splits(cells: set[str]) -> set[str]:
    """Return the splits that the cells name. Other words are allowed if every cell names a split, as in PublicTest."""
    similar = [find_split_of_file(cell) for cell in cells]
    return {split for split in (similar if all(similar) else map(find_split, cells)) if split}
