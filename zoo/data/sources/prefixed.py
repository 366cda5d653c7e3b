"""Sources with a prefix: ``hf:owner/name``, ``torchvision:CIFAR10``, and the sources that plugins add."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from zoo.errors import DataError

if TYPE_CHECKING:
    from zoo.data.listing import Listing
    from zoo.plugin import SourceSpec
    from zoo.progress import Progress
    from zoo.registry.data_options import DataOptions
    from zoo.registry.registry import Registry

#: What each of zoo's own prefixes refers to.
BUILT_IN = {
    "hf": "a data set on the Hugging Face Hub",
    "torchvision": "a torchvision data set",
}
_PREFIXED = re.compile(r"(?P<prefix>[a-z][a-z0-9_-]+):(?!//)(?P<name>.*)")  # one letter is a Windows drive


@dataclass(frozen=True, slots=True)
class Prefixed:
    """A value with a prefix, which has been checked."""

    prefix: str
    name: str
    #: What a plugin declares about the prefix; None for zoo's own prefixes.
    spec: SourceSpec | None = None


def find_prefixed(value: str, registry: Registry) -> Prefixed | None:
    """Return the source that a value names; None if the value has no prefix.

    Args:
        value: Value that is not an existing path.
        registry: Where to look up the kinds of data sources that plugins add.

    Raises:
        DataError: If the prefix is unknown, the name is missing or invalid, or a package is missing.
    """
    match = _PREFIXED.fullmatch(value)
    if not match:
        return None
    found = Prefixed(match["prefix"], match["name"])
    specs = {spec.prefix: spec for spec in registry.list_sources()}
    meanings = {**BUILT_IN, **{prefix: spec.description for prefix, spec in specs.items()}}
    if found.prefix not in meanings:
        known = ", ".join(f"{prefix}: ({meaning})" for prefix, meaning in meanings.items())
        hint = registry.explain_missing_source(found.prefix)
        raise DataError(f"{value!r} does not exist, and there is no source {found.prefix}:, only {known}{hint}.")
    if not found.name:
        raise DataError(f"{value!r} has no name; pass {value}NAME, which means {meanings[found.prefix]}.")
    if found.prefix == "hf":
        from zoo.data.sources.hub import check_hub

        check_hub(found.name)
    elif found.prefix == "torchvision":
        from zoo.data.sources.torchvision_data import check_torchvision

        check_torchvision(found.name)
    return replace(found, spec=specs.get(found.prefix))


def list_prefixed(source: Prefixed, options: DataOptions, progress: Progress) -> Listing:
    """List the images of one of zoo's own sources. They are downloaded the first time.

    Raises:
        DataError: If the images cannot be downloaded or read.
    """
    if source.prefix == "torchvision":
        from zoo.data.sources.torchvision_data import list_torchvision

        return list_torchvision(source.name, options, progress)
    from zoo.data.sources.hub import list_hub

    return list_hub(source.name, options, progress)
