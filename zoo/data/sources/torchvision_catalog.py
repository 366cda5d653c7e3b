"""The torchvision data sets that zoo can use, and how torchvision names their splits.

A data set is listed only if torchvision downloads it automatically and verifies the MD5 of every archive. CIFAR10 and
CIFAR100 are pickles. torchvision verifies the MD5 of each file every time before it loads the file, so it only ever
loads the authors' files.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from zoo.errors import DataError


@dataclass(frozen=True, slots=True)
class Entry:
    """A torchvision data set."""

    #: Arguments of the class for each split of zoo.
    splits: Mapping[str, Mapping[str, Any]]
    #: How to get the images: through the `loader` argument, which receives their paths; from the paths in a private
    #: attribute; or as pixels, which are written to PNG files.
    reads: Literal["loader", "attribute", "pixels"]
    #: Whether torchvision needs scipy to read the labels.
    needs_scipy: bool = False
    #: Names after a second colon, and the attributes of the labels and the classes for each of them.
    labels: Mapping[str, tuple[str, str]] = field(default_factory=dict)


_BY_FLAG = {"train": {"train": True}, "test": {"train": False}}
_TWO = {"train": {"split": "train"}, "test": {"split": "test"}}
_THREE = {"train": {"split": "train"}, "val": {"split": "val"}, "test": {"split": "test"}}
_NONE: Mapping[str, Mapping[str, Any]] = {"": {}}

CATALOG: Mapping[str, Entry] = {
    "CIFAR10": Entry(_BY_FLAG, "pixels"),
    "CIFAR100": Entry(_BY_FLAG, "pixels"),
    "Country211": Entry({**_THREE, "val": {"split": "valid"}}, "loader"),
    "DTD": Entry(_THREE, "loader"),
    "EuroSAT": Entry(_NONE, "loader"),
    "FashionMNIST": Entry(_BY_FLAG, "pixels"),
    "Flowers102": Entry(_THREE, "loader", needs_scipy=True),
    "Food101": Entry(_TWO, "loader"),
    "GTSRB": Entry(_TWO, "pixels"),
    "Imagenette": Entry({"train": {"split": "train"}, "val": {"split": "val"}}, "loader"),
    "KMNIST": Entry(_BY_FLAG, "pixels"),
    "MNIST": Entry(_BY_FLAG, "pixels"),
    "OxfordIIITPet": Entry(
        {"train": {"split": "trainval"}, "test": {"split": "test"}},
        "attribute",
        labels={"category": ("_labels", "classes"), "binary-category": ("_bin_labels", "bin_classes")},
    ),
    "RenderedSST2": Entry(_THREE, "loader"),
    "STL10": Entry(_TWO, "pixels"),
    "SUN397": Entry(_NONE, "loader"),
    "SVHN": Entry(_TWO, "pixels", needs_scipy=True),
    "USPS": Entry(_BY_FLAG, "pixels"),
}


def find_entry(value: str) -> tuple[str, str, Entry]:
    """Return the name of a data set, the kind of its labels (or an empty string), and its entry.

    Raises:
        DataError: If zoo cannot use a data set of this name, or it has no labels of this kind.
    """
    asked, colon, labels = value.partition(":")
    name = next((known for known in CATALOG if known.lower() == asked.lower()), None)
    if name is None:
        raise DataError(f"cannot use 'torchvision:{value}'; the data sets are {', '.join(CATALOG)}.")
    entry = CATALOG[name]
    if colon and labels not in entry.labels:
        wanted = f"one of {', '.join(entry.labels)}" if entry.labels else "nothing"
        raise DataError(f"cannot use 'torchvision:{value}': after torchvision:{name}, write {wanted}.")
    return name, labels or next(iter(entry.labels), ""), entry
