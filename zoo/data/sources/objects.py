"""List the images of Python objects: lists of paths and labels, data frames and map-style data sets.

[("1.jpg", "ant"), ("2.jpg", "bee")]          Paths and labels.
pandas.DataFrame                              A table; see `zoo.data.sources.table`.
torchvision.datasets.CIFAR10("cifar")         A map-style data set, whose items are images and labels.
{"train": ..., "val": ...}                    One of these for each split.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from math import isnan
from os import PathLike, fspath
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo.data.listing import SPLITS, Listing, merge_listings
from zoo.data.sources.cached_images import CachedImage, cache_images
from zoo.data.sources.class_names import check_names
from zoo.data.sources.table import list_rows, list_table
from zoo.data.sources.table_rows import NOT_TEXT
from zoo.data.split_names import find_split
from zoo.errors import DataError

if TYPE_CHECKING:
    from zoo.data.sources.table_rows import Row
    from zoo.progress import Progress
    from zoo.registry.data_options import DataOptions


def describe_object(value: object) -> str:
    """Return a short name of a Python object that contains images, for messages and run.json."""
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{name}: {describe_object(part)}' for name, part in value.items())}}}"
    if isinstance(value, type):
        return f"the class {value.__name__}"
    size = f" of {len(value)} images" if hasattr(value, "__len__") else ""
    return f"{type(value).__name__}{size}"


def is_frame(value: object) -> bool:
    """Return whether a value is a pandas DataFrame; pandas need not be installed."""
    return hasattr(value, "itertuples") and hasattr(value, "columns")


def list_object(value: object, options: DataOptions, progress: Progress, *, split: str | None = None) -> Listing:
    """List the images of a Python object.

    Args:
        value: A list of pairs, a data frame, a map-style data set, or a dictionary of these by split.
        options: Names of the columns of a data frame.
        progress: Where to report progress while the images of a data set are written to the cache folder.
        split: Split of all images; None means that the object names it, or has no splits.

    Raises:
        DataError: If the object is none of these, or contains something other than images and labels.
    """
    if isinstance(value, (str, bytes, PathLike)):
        raise DataError(f"a dictionary of splits cannot contain the path {value!r}; pass the folder of all splits.")
    if isinstance(value, type):
        raise DataError(f"`data` is the class {value.__name__}; pass an instance of it, such as {value.__name__}(...).")
    if isinstance(value, Mapping):
        return _list_splits(value, options, progress)
    if is_frame(value):
        return list_rows(_read_frame(value), Path(), options, origin=describe_object(value), split=split)
    if isinstance(value, (list, tuple)):
        return list_rows(_read_pairs(value), Path(), options, origin=describe_object(value), split=split)
    if hasattr(value, "__getitem__") and hasattr(value, "__len__") and not hasattr(value, "iloc"):  # no pandas.Series
        return _list_dataset(value, options, progress, split)
    raise DataError(
        f"cannot use a {type(value).__name__} as `data`; pass a path, a list of (path, label), a pandas DataFrame, or "
        "a map-style data set with __len__ and __getitem__."
    )


def _list_splits(value: Mapping[Any, object], options: DataOptions, progress: Progress) -> Listing:
    parts: dict[str, object] = {}
    for name, part in value.items():
        split = find_split(str(name))
        if split is None or split in parts:
            splits = ", ".join(SPLITS)
            raise DataError(f"`data` has the unknown or repeated split {name!r}; use each of {splits} at most once.")
        parts[split] = part
    if not parts:
        raise DataError("`data` is empty; pass a dictionary of splits, such as train and val.")
    ordered = [split for split in SPLITS if split in parts]
    return merge_listings([list_object(parts[split], options, progress, split=split) for split in ordered])


def _read_frame(frame: Any) -> Iterator[Row]:
    yield 0, [str(name) for name in frame.columns]
    for number, row in enumerate(frame.itertuples(index=False, name=None), 1):
        yield number, [_to_cell(value) for value in row]


def _to_cell(value: Any) -> str:
    if getattr(value, "shape", None) == ():
        value = value.item()  # a NumPy or torch number
    if _is_missing(value):
        return ""
    return NOT_TEXT if _is_container(value) else str(value)


def _read_pairs(pairs: Sequence[Any]) -> Iterator[Row]:
    yield 0, ["path", "label"]
    for number, pair in enumerate(pairs, 1):
        if not (isinstance(pair, (tuple, list)) and len(pair) == 2 and isinstance(pair[0], (str, PathLike))):
            raise DataError(f"item {number - 1} is {str(pair)[:80]!r}, not a pair of a path and a label")
        yield number, [fspath(pair[0]), _name_label(pair[1], None, number - 1)]


def _list_dataset(dataset: Any, options: DataOptions, progress: Progress, split: str | None) -> Listing:
    """Write the images of a map-style data set to the cache folder, and list them."""
    try:
        table = cache_images(_read_dataset(dataset, split), len(dataset), progress)
    except DataError as error:
        raise DataError(f"cannot use the {describe_object(dataset)}: {error}.") from error
    return list_table(table, options)


def _read_dataset(dataset: Any, split: str | None) -> Iterator[CachedImage]:
    names = _read_names(dataset)
    for number in range(len(dataset)):
        item = dataset[number]
        if not (isinstance(item, (tuple, list)) and len(item) == 2):
            raise DataError(f"item {number} is a {type(item).__name__}, not a pair of an image and a label")
        yield CachedImage(item[0], _name_label(item[1], names, number), split)


def _read_names(dataset: Any) -> list[str] | None:
    """Return the class names of a data set; None if it has none."""
    classes = getattr(dataset, "classes", None)
    if not isinstance(classes, Sequence) or isinstance(classes, str) or not classes:
        return None
    names = [str(name) for name in classes]
    check_names(names)
    return names


def _name_label(label: Any, names: Sequence[str] | None, number: int) -> str:
    """Return the class name; empty if the image has no label, which data sets with class names also write as -1."""
    try:
        label = label.item() if hasattr(label, "item") else label  # a NumPy or torch number
    except (ValueError, RuntimeError) as error:
        raise DataError(f"item {number} has several labels; each image must have exactly one") from error
    if _is_container(label):
        raise DataError(
            f"item {number} has the label {str(label)[:80]!r} of type {type(label).__name__}; labels must be text or "
            "numbers"
        )
    if _is_missing(label) or (names and label == -1):
        return ""
    if names and isinstance(label, int) and 0 <= label < len(names):
        return names[label]
    if not names or (isinstance(label, str) and label in names):
        return str(label)
    raise DataError(
        f"item {number} has the label {str(label)[:80]!r}, but `classes` has only {len(names)} names, numbered from 0"
    )


def _is_container(value: Any) -> bool:
    """Return whether a value is bytes, a list or the like, whose text would silently become the name of a class."""
    return isinstance(value, (bytes, bytearray, Mapping, AbstractSet)) or (
        not isinstance(value, str) and hasattr(value, "__getitem__")
    )


def _is_missing(value: Any) -> bool:
    """Return whether a value is None, NaN or the missing value of pandas, which need not be installed."""
    return value is None or type(value).__name__ in ("NAType", "NaTType") or (isinstance(value, float) and isnan(value))
