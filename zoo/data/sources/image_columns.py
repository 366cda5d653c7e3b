"""Which columns of a Hugging Face data set contain the images and their labels, and how to read them.

The columns are described as the `datasets` library describes them in JSON: ``{"image": {"_type": "Image"}, "label":
{"_type": "ClassLabel", "names": ["ant", "bee"]}}``.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from zoo.data.sources.cached_images import CachedImage
from zoo.data.sources.class_names import check_names
from zoo.data.sources.columns import NAMES, WEIGHTS, note_unused_weight
from zoo.data.sources.row_reader import parse_weight
from zoo.data.split_names import WORDS, find_split
from zoo.errors import DataError
from zoo.registry.data_options import ROLES

if TYPE_CHECKING:
    from zoo.registry.data_options import DataOptions

Features = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ImageColumns:
    """The names of the columns that are used."""

    image: str
    #: None if the images need no labels.
    label: str | None = None
    #: Name of each class, by its number in the label column; empty if that column contains the names.
    classes: tuple[str, ...] = ()
    #: Names of the columns with the split, the group and the loss weight of each image, if there are any.
    split: str | None = None
    group: str | None = None
    weight: str | None = None

    def list_used(self) -> dict[str, str]:
        """Return the name of the column for each role that has one."""
        return {role: name for role in ROLES if (name := getattr(self, role)) is not None}

    def describe(self) -> str:
        """Return which column is used for what."""
        return f"columns of the table: {', '.join(f'{role} {name!r}' for role, name in self.list_used().items())}"

    def decide_split(self, split: str | None, splits: Collection[str | None]) -> str | None:
        """Return the split of all rows of a part of the data set; None if each row names its own.

        A data set without splits usually consists of train alone. A column with the splits then divides it.

        Args:
            split: Split of the part.
            splits: Splits of all parts.
        """
        return None if self.split and set(splits) == {"train"} else split


def list_image_columns(features: Features) -> list[str]:
    """Return the names of the image columns."""
    return [name for name, feature in features.items() if _type_of(feature) == "Image"]


def choose_columns(features: Features, options: DataOptions) -> ImageColumns:
    """Choose the column for each role. Those for the split, the group and the weight need not exist.

    Args:
        features: Description of each column.
        options: Name of the column for some roles.

    Raises:
        DataError: If a requested column does not exist, there is no column for the image or the label, several are
            possible for a role, or a class name is empty or occurs twice.
    """
    images = list_image_columns(features)
    image = _choose_one("image", images, features, options.columns)
    if not options.needs_labels:
        return ImageColumns(image)
    labels = [name for name, feature in features.items() if _type_of(feature) == "ClassLabel"]
    labels = labels or [name for name in _find_named("label", features) if name not in images]
    label = _choose_one("label", labels, features, options.columns)
    optional: dict[str, str] = {}
    for role in ("split", "group", "weight"):
        found = [name for name in _find_named(role, features) if name not in (image, label)]
        if found or role in options.columns:
            optional[role] = _choose_one(role, found, features, options.columns)
    names = tuple(features[label].get("names") or ())
    check_names(names)
    return ImageColumns(image, label, names, **optional)


def list_notes(columns: ImageColumns, features: Features) -> tuple[str, ...]:
    """Return notes for the user about the columns: which are used, and which may contain loss weights."""
    unused = [name for name in features if name.strip().lower() in WEIGHTS and name not in columns.list_used().values()]
    is_unclear = columns.label is not None and columns.weight is None
    return columns.describe(), *(note_unused_weight(name) for name in unused if is_unclear)


def _find_named(role: str, features: Features) -> list[str]:
    return [name for name in features if name.strip().lower() in NAMES[role]]


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
        columns: Columns of the images, their labels and so on.
        split: Split of the images; None if each row may name its own.
        read_file: Function that reads an image whose row contains its path; None if each row must contain its bytes.

    Raises:
        DataError: If a row has no image, its label is neither text nor a number, or has no name, its split is unknown,
            or its weight is not a number in the allowed range.
    """
    number = -1
    used = columns.list_used()
    for batch in batches:
        for values in zip(*(batch[name] for name in used.values()), strict=True):
            number += 1
            row = dict(zip(used, values, strict=True))
            data = _read_bytes(row["image"], read_file)
            if not isinstance(data, bytes):
                raise DataError(f"row {number} contains no image bytes in the column {columns.image!r}")
            yield CachedImage(
                data,
                _name_label(row.get("label"), columns, number),
                split if columns.split is None else _name_split(row["split"], split, number),
                group=None if columns.group is None else _name_group(row["group"]),
                suffix=".unknown",
                weight=None if columns.weight is None else _read_weight(row["weight"], number),
            )


def _read_bytes(image: Any, read_file: Callable[[str], bytes] | None) -> Any:
    data = image.get("bytes") if isinstance(image, dict) else image
    if data is None and read_file and isinstance(image, dict) and isinstance(image.get("path"), str):
        return read_file(image["path"])
    return data


def _read_weight(value: Any, number: int) -> float:
    try:
        return parse_weight("" if value is None else str(value))
    except DataError as error:
        raise DataError(f"row {number} has {error}") from error


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
