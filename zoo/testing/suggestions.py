"""Where in a plugin's own code something is wrong while it is listed, and what a misspelt name may have meant."""

from __future__ import annotations

import dataclasses
import difflib
import re
from collections.abc import Iterable, Sequence

from zoo.errors import PluginError
from zoo.plugin import BackboneSpec, BlockSpec, DatasetSpec, InputSpec, WeightsSpec
from zoo.testing.results.result import find_place

SPECS = {spec.__name__: spec for spec in (BackboneSpec, BlockSpec, DatasetSpec, InputSpec, WeightsSpec)}
MISSPELT = re.compile(r"(\w+)\.__init__\(\) got an unexpected keyword argument '(\w+)'")


def describe_fault(fault: PluginError, package: str) -> str:
    """Say what was raised while a plugin was loaded, with the fields of a spec that may have been meant, and where."""
    said, cause = str(fault), fault.__cause__ or fault
    misspelt = MISSPELT.search(str(cause))
    if misspelt is not None and misspelt[1] in SPECS:
        fields = [field.name for field in dataclasses.fields(SPECS[misspelt[1]])]
        said = f"{said}; its fields are {', '.join(sort_by_likeness(misspelt[2], fields))}"
    place = find_place(cause, package)
    return f"{said.rstrip('.')} ({place})." if place else said


def sort_by_likeness(name: str, known: Iterable[str]) -> list[str]:
    """Sort names that exist, the ones most like a wrong one first."""
    names = sorted({*known})
    return difflib.get_close_matches(name, names, n=max(1, len(names)), cutoff=0.0)


def name_likest(name: str, known: Iterable[str]) -> str:
    """Say what exists that is most like a wrong name: ``there are layer1, layer2, stem (12 in all)``."""
    names = sort_by_likeness(name, known)
    return f"there are {name_some(names)}" if names else "there are none"


def name_some(names: Sequence[str]) -> str:
    """Name the first of some names, and say how many there are: ``conv1.bias, fc.bias (2 in all)``."""
    return f"{', '.join(names[:3])} ({len(names)} in all)"


def list_prefixes(names: Iterable[str]) -> list[str]:
    """List all dotted prefixes of dotted names, the names themselves too."""
    parts = [name.split(".") for name in names]
    return sorted({".".join(path[:end]) for path in parts for end in range(1, len(path) + 1)})
