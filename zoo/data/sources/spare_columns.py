"""Columns of a table that zoo does not use, although they may contain the splits."""

from __future__ import annotations

from collections.abc import Sequence

from zoo.data.sources.columns import Columns
from zoo.data.split_names import find_split
from zoo.errors import DataError


class SpareColumns:
    """Watches the columns without a role, each of which may turn out to contain the names of splits.

    Args:
        columns: Columns in use.
        names: Name of each column, or its number.
    """

    def __init__(self, columns: Columns, names: Sequence[str]) -> None:
        used = {columns.image, columns.label, columns.group, *columns.one_hot}
        self._names = names
        #: Splits found so far, by the index of the column.
        self._splits: dict[int, set[str]] = {index: set() for index in range(len(names)) if index not in used}

    def watch(self, cells: Sequence[str]) -> None:
        """Look at a row. A column with other words, such as a caption, is not watched any longer."""
        for index in tuple(self._splits):
            if (split := find_split(cells[index])) is None:
                del self._splits[index]
            else:
                self._splits[index].add(split)

    def check(self) -> None:
        """Check that no spare column divides the images into splits.

        Raises:
            DataError: If all cells of a column are the names of splits, and there are several splits.
        """
        for index, splits in self._splits.items():
            if len(splits) > 1:
                name = self._names[index]
                raise DataError(
                    f"is the column {name!r} the split of each image? It contains {', '.join(sorted(splits))}. If it "
                    f"is, add split={name} to `columns`; if it is not, remove the column"
                )
