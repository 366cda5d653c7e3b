"""Sources that a prefix names: ``hf:owner/name`` and ``torchvision:CIFAR10``."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from zoo.errors import DataError

if TYPE_CHECKING:
    from zoo.data.listing import Listing
    from zoo.progress import Progress
    from zoo.registry.data_options import DataOptions

#: What each prefix of zoo itself stands for.
BUILT_IN = {
    "hf": "a data set on the Hugging Face Hub",
    "torchvision": "a data set of torchvision",
}
_PREFIXED = re.compile(r"(?P<prefix>[a-z][a-z0-9_-]+):(?!//)(?P<name>.+)")  # one letter is a drive of Windows


@dataclass(frozen=True, slots=True)
class Prefixed:
    """A value with a prefix, which has been checked."""

    prefix: str
    name: str


def find_prefixed(value: str) -> Prefixed | None:
    """Return the source that a value names; None if the value has no prefix.

    Raises:
        DataError: If the prefix is unknown, the name is invalid, or a package is missing.
    """
    match = _PREFIXED.fullmatch(value)
    if not match:
        return None
    found = Prefixed(match["prefix"], match["name"])
    if found.prefix == "hf":
        from zoo.data.sources.hub import check_hub

        check_hub(found.name)
    elif found.prefix == "torchvision":
        from zoo.data.sources.torchvision_data import check_torchvision

        check_torchvision(found.name)
    else:
        known = ", ".join(f"{prefix}: ({meaning})" for prefix, meaning in BUILT_IN.items())
        raise DataError(f"{value!r} does not exist, and there is no source {found.prefix}:, only {known}.")
    return found


def list_prefixed(source: Prefixed, options: DataOptions, progress: Progress) -> Listing:
    """List the images of a source, which are downloaded the first time.

    Raises:
        DataError: If the images cannot be downloaded or read.
    """
    if source.prefix == "torchvision":
        from zoo.data.sources.torchvision_data import list_torchvision

        return list_torchvision(source.name, progress)
    from zoo.data.sources.hub import list_hub

    return list_hub(source.name, options, progress)
