"""Which column of a table contains the path, the label, the split, the group or the weight of an image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PureWindowsPath

from zoo.data.sources.class_names import check_names
from zoo.data.sources.entries import IMAGE_SUFFIXES
from zoo.data.split_names import find_split_of_file
from zoo.errors import DataError
from zoo.registry.data_options import ROLES

#: Common column names, in lowercase.
NAMES = {
    "image": ("path", "file_name", "filename", "image", "filepath", "file_path", "image_path", "file"),
    "label": ("label", "class", "target", "class_name", "category"),
    "split": ("split", "subset", "partition", "set"),
    "group": ("group", "group_id"),
    # Not "weight", which in many tables is that of the animal or the object.
    "weight": ("sample_weight", "loss_weight"),
}
#: Cells of a column of a class, in lowercase, and whether the image belongs to the class.
MARKS = {"0": False, "1": True, "false": False, "true": True, "0.0": False, "1.0": True}
#: Names of columns that may contain loss weights, but also the weight of what an image shows.
WEIGHTS = ("weight", "weights")
#: Names, in lowercase, of a column with the numbers of the rows, which pandas writes beside the other columns.
_INDEX = ("", "unnamed: 0", "__index_level_0__")


@dataclass(frozen=True, slots=True)
class Columns:
    """The index of the column for each role."""

    image: int
    #: None if the classes are columns.
    label: int | None
    split: int | None = None
    group: int | None = None
    #: Column of the loss weights.
    weight: int | None = None
    #: Index of the column of each class that contains 1 or True for its images and 0 or False for all others.
    one_hot: Mapping[int, str] = field(default_factory=dict)
    #: Whether the first row contains the names of the columns.
    has_header: bool = True


class NoColumn(DataError):
    """A table has no column for the image or the label."""


def find_columns(first: Sequence[str], second: Sequence[str], asked: Mapping[str, str]) -> Columns:
    """Find the columns of a table.

    Args:
        first: First row of the table, which usually contains the names of the columns.
        second: Second row of the table, which shows what the columns contain.
        asked: Name of the column for some roles, or its number from 1 for a table without names.

    Raises:
        NoColumn: If there is no column for the image or the label.
        DataError: If a requested column does not exist, two columns may have the same role, or it is unclear what the
            columns contain.
    """
    # A cell of the first row may be a number as well, such as the label 1.
    if asked and all(name.isdecimal() for name in asked.values()) and not set(asked.values()) <= set(first):
        return _number_columns(first, asked)
    names = [name.strip().lower() for name in first]
    found = {role: _find_role(role, names, first, asked) for role in ROLES}
    image, label = found["image"], found["label"]
    if image is None and label is None and not asked and len(first) == 2 and any(map(_is_image, first)):
        if all(map(_is_image, first)):
            raise DataError(
                f"which column contains the labels? The first row contains two paths, {first[0]!r} and {first[1]!r}; "
                "choose the columns, for example with `columns` image=1,label=2"
            )
        path = 0 if _is_image(first[0]) else 1
        return Columns(image=path, label=1 - path, has_header=False)
    one_hot: dict[int, str] = {}
    if image is not None and label is None:
        used = set(found.values())
        one_hot = _find_one_hot(first, second, [index for index in range(len(first)) if index not in used])
    if image is None or (label is None and not one_hot):
        missing = " and ".join(role for role in ("image", "label") if found[role] is None)
        raise NoColumn(
            f"no column for {missing} among {', '.join(map(repr, first[:20]))}; name it, "
            "for example with `columns` image=path,label=breed"
        )
    return Columns(image, label, found["split"], found["group"], found["weight"], one_hot)


def _find_one_hot(first: Sequence[str], second: Sequence[str], others: Sequence[int]) -> dict[int, str]:
    """Return the name of the class by the index of its column; empty if the columns do not mark classes.

    Raises:
        DataError: If the columns mark splits instead, or two classes have the same name.
    """
    others = [index for index in others if first[index].strip().lower() not in _INDEX]
    is_complete = len(others) > 1 and len(second) == len(first)
    if not is_complete or any(second[index].strip().lower() not in MARKS for index in others):
        return {}
    names = {index: first[index].strip() for index in others}
    if all(map(find_split_of_file, names.values())):
        raise DataError(
            f"the columns {', '.join(map(repr, names.values()))} have the names of splits, not of classes; add a "
            "column with the label of each image, and a column `split` that contains train, val or test"
        )
    check_names(names.values())
    return names


def find_image_column(first: Sequence[str], asked: str | None = None) -> Columns:
    """Find the column for the image in a table that may have no labels.

    Args:
        first: First row of the table. If one of its cells is the path of an image, the columns have no names.
        asked: Name of the column, or its number from 1 for a table without names.

    Raises:
        NoColumn: If there is no column for the image.
        DataError: If the requested column does not exist, or several columns may be the one for the image.
    """
    if asked and asked.isdecimal() and asked not in first:
        if not 1 <= int(asked) <= len(first):
            raise DataError(f"no column {asked} for image; the table has {len(first)} columns")
        return Columns(int(asked) - 1, None, has_header=False)
    names = [name.strip().lower() for name in first]
    image = _find_role("image", names, first, {"image": asked} if asked else {})
    if image is not None:
        return Columns(image, None)
    paths = [index for index, cell in enumerate(first) if _is_image(cell)]
    if len(paths) != 1:
        shown = ", ".join(map(repr, first[:20]))
        raise NoColumn(f"no column for image among {shown}; name it, for example with `columns` image=NAME")
    return Columns(paths[0], None, has_header=False)


def _find_role(role: str, names: Sequence[str], shown: Sequence[str], asked: Mapping[str, str]) -> int | None:
    wanted = (asked[role].lower(),) if role in asked else NAMES[role]
    matches = [index for index, name in enumerate(names) if name in wanted]
    if len(matches) > 1 and role in asked:  # The exact spelling decides between Label and label.
        matches = [index for index in matches if shown[index].strip() == asked[role]] or matches
    if len(matches) > 1:
        columns = " and ".join(repr(shown[index]) for index in matches)
        raise DataError(f"both {columns} may be the {role} column; choose one, for example with `columns` {role}=...")
    if role in asked and not matches:
        raise DataError(f"no column {asked[role]!r}; the columns are {', '.join(map(repr, shown[:20]))}")
    return matches[0] if matches else None


def _number_columns(first: Sequence[str], asked: Mapping[str, str]) -> Columns:
    for role, number in asked.items():
        if not 1 <= int(number) <= len(first):
            raise DataError(f"no column {number} for {role}; the table has {len(first)} columns")
    if not {"image", "label"} <= asked.keys():
        raise DataError("a table without column names needs the numbers of both image and label in `columns`")
    index = {role: int(number) - 1 for role, number in asked.items()}
    others = (index.get("split"), index.get("group"), index.get("weight"))
    return Columns(index["image"], index["label"], *others, has_header=False)


def note_unused_weight(name: str) -> str:
    """Return a note about a column that may contain loss weights but is not used."""
    return f"the column {name!r} is not used; to multiply the loss of each image by it, set `columns` to weight={name}"


def _is_image(cell: str) -> bool:
    return PureWindowsPath(cell.strip()).suffix.lower() in IMAGE_SUFFIXES  # splits paths at / and at \
