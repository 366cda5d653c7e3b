"""The list of class names that a data source declares, whose order gives each number a name."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterable

from zoo.data.listing import show_names
from zoo.errors import DataError


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
