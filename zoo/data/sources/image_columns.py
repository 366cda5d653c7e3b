"""Which columns of a Hugging Face data set contain the images and their labels, and how to read them.

The columns are described as the `datasets` library describes them in JSON: ``{"image": {"_type": "Image"}, "label":
{"_type": "ClassLabel", "names": ["ant", "bee"]}}``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from zoo.data.sources.cached_images import CachedImage
from zoo.data.sources.class_names import check_names
from zoo.data.sources.columns import NAMES
from zoo.data.split_names import WORDS, find_split
from zoo.errors import DataError

Features = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ImageColumns:
    """The names of the image column and the label column."""

    image: str
    label: str
    #: Name of each class, by its number in the label column; empty if that column contains the names.
    classes: tuple[str, ...]
    #: Names of the columns with the split and the group of each image, if there are any.
    split: str | None = None
    group: str | None = None

    def list_used(self) -> dict[str, str]:
        """Return the name of the column for each role that has one."""
        roles = {"image": self.image, "label": self.label, "split": self.split, "group": self.group}
        return {role: name for role, name in roles.items() if name is not None}

    def describe(self) -> str:
        """Return which column is used for what."""
        return f"columns of the table: {', '.join(f'{role} {name!r}' for role, name in self.list_used().items())}"


def list_image_columns(features: Features) -> list[str]:
    """Return the names of the image columns."""
    return [name for name, feature in features.items() if _type_of(feature) == "Image"]


def choose_columns(features: Features, asked: Mapping[str, str]) -> ImageColumns:
    """Choose the image column and the label column.

    Args:
        features: Description of each column.
        asked: Name of the column for some roles.

    Raises:
        DataError: If a requested column does not exist, there is no such column, or several are possible, or a class
            name is empty or occurs twice.
    """
    if other := sorted(asked.keys() - {"image", "label"}):
        raise DataError(f"a data set of images has no column for {other[0]}; name only those for image and label")
    images = list_image_columns(features)
    labels = [name for name, feature in features.items() if _type_of(feature) == "ClassLabel"]
    labels = labels or [name for name in features if name.lower() in NAMES["label"] and name not in images]
    image = _choose_one("image", images, features, asked)
    label = _choose_one("label", labels, features, asked)
    names = tuple(features[label].get("names") or ())
    check_names(names)
    return ImageColumns(image, label, names)


def add_optional_columns(columns: ImageColumns, features: Features, asked: Mapping[str, str]) -> ImageColumns:
    """Choose also the columns with the split and the group of each image, which need not exist.

    Raises:
        DataError: If a requested column does not exist, or several are possible.
    """
    chosen: dict[str, str] = {}
    for role in ("split", "group"):
        found = [
            name for name in features if name.lower() in NAMES[role] and name not in (columns.image, columns.label)
        ]
        if found or role in asked:
            chosen[role] = _choose_one(role, found, features, asked)
    return replace(columns, split=chosen.get("split"), group=chosen.get("group"))


def _type_of(feature: Any) -> str | None:
    return feature.get("_type") if isinstance(feature, dict) else None


def _choose_one(role: str, found: Sequence[str], features: Features, asked: Mapping[str, str]) -> str:
    known = ", ".join(map(repr, list(features)[:20]))
    if role in asked:
        if asked[role] not in features:
            raise DataError(f"no column {asked[role]!r}; the columns are {known}")
        return asked[role]
    if not found:
        raise DataError(f"no column for {role} among {known}; name it, for example with `columns` {role}=NAME")
    if len(found) > 1:
        shown = ", ".join(map(repr, found))
        raise DataError(f"{shown} may each be the {role} column; choose one with `columns`, such as {role}={found[0]}")
    return found[0]


def read_images(
    batches: Iterable[Mapping[str, Sequence[Any]]],
    columns: ImageColumns,
    split: str | None,
    read_file: Callable[[str], bytes] | None = None,
) -> Iterator[CachedImage]:
    """Yield the images of batches of rows, as the bytes that the rows contain.

    Args:
        batches: Values of each column.
        columns: The image column and the label column.
        split: Split of the images.
        read_file: Function that reads an image whose row contains its path; None if each row must contain its bytes.

    Raises:
        DataError: If a row has no image, or its label is neither text nor a number, or has no name, or its split is
            unknown.
    """
    number = -1
    for batch in batches:
        for row, (image, label) in enumerate(zip(batch[columns.image], batch[columns.label], strict=True)):
            number += 1
            data = image.get("bytes") if isinstance(image, dict) else image
            if data is None and read_file and isinstance(image, dict) and isinstance(image.get("path"), str):
                data = read_file(image["path"])
            if not isinstance(data, bytes):
                raise DataError(f"row {number} contains no image bytes in the column {columns.image!r}")
            name = _name_label(label, columns, number)
            found = split if columns.split is None else _name_split(batch[columns.split][row], split, number)
            group = None if columns.group is None else _name_group(batch[columns.group][row])
            yield CachedImage(data, name, found, group=group, suffix=".unknown")


def _name_group(value: Any) -> str:
    return "" if value is None else str(value)


def _name_split(value: Any, split: str | None, number: int) -> str:
    """Return the split in a cell, which must not contradict the split of all rows."""
    if (found := find_split(str(value))) is None:
        raise DataError(f"row {number} has the unknown split {str(value)[:80]!r}; splits are {', '.join(WORDS)}")
    if split not in (None, found):
        raise DataError(f"row {number} is in {found} according to its column, but in {split} according to its file")
    return found


def _name_label(label: Any, columns: ImageColumns, number: int) -> str:
    """Return the class name; empty if the image has no label, which data sets also write as -1."""
    if label is None or (columns.classes and label == -1):
        return ""
    if not columns.classes and isinstance(label, (str, int)):
        return str(label)
    if isinstance(label, int) and 0 <= label < len(columns.classes):
        return columns.classes[label]
    raise DataError(f"row {number} has the label {str(label)[:80]!r}, which does not match any class")
