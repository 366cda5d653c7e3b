"""The list of class names that a data source declares, whose order gives each number a name."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Hashable, Iterable

from zoo.data.listing import show_names
from zoo.errors import DataError

#: A whole number, such as 1 or 1.0.
_NUMBER = re.compile(r"[0-9]{1,15}(\.0+)?")
#: Text that programs write for a missing label, in lowercase. It may also be a class, such as NA for Namibia.
_MISSING = ("nan", "na", "n/a", "<na>", "null", "none")


def check_names(names: Iterable[str]) -> None:
    """Check that no class name is empty or occurs twice, because images of different numbers would become one class.

    Raises:
        DataError: If a name is empty, or two are equal. The message is a clause without a period.
    """
    counts = Counter(unicodedata.normalize("NFC", name).strip() for name in names)
    if "" in counts:
        raise DataError("the list of class names contains an empty name")
    if repeated := sorted(name for name, count in counts.items() if count > 1):
        raise DataError(f"the list of class names contains names twice: {show_names(repeated)}")


def note_missing_labels(names: Iterable[str]) -> list[str]:
    """Return a note for each class whose name may stand for a missing label, such as -1 beside the class 0."""
    found = set(names)
    missing = sorted(name for name in found if name.lower() in _MISSING or (name == "-1" and "0" in found))
    return [
        f"the label {name!r} is used as a class; if it means that there is no label, leave these labels empty"
        for name in missing
    ]


def list_twins(classes: Iterable[str]) -> list[str]:
    """Return a note for each pair of classes whose names are nearly the same and may mean the same class."""
    names = list(classes)
    alike = [
        f"the classes {one!r} and {other!r} differ only in case or in spaces"
        for one, other in _pair(names, lambda name: "".join(name.casefold().split()))
    ]
    # pandas writes 1.0 instead of 1 if a label is missing.
    equal = [
        f"the classes {one!r} and {other!r} are the same number, written in two ways"
        for one, other in _pair([name for name in names if _NUMBER.fullmatch(name)], float)
    ]
    return alike + equal


def _pair(names: Iterable[str], key: Callable[[str], Hashable]) -> list[tuple[str, str]]:
    """Return each name that has the same key as an earlier one, after that one."""
    seen: dict[Hashable, str] = {}
    pairs = ((seen.setdefault(key(name), name), name) for name in names)
    return [(one, other) for one, other in pairs if one != other]
