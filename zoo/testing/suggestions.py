"""Descriptions of a plugin's faults: their location in its code, and the names most similar to a misspelled one."""

from __future__ import annotations

import dataclasses
import difflib
import re
from collections.abc import Iterable, Sequence

from zoo.errors import PluginError
from zoo.plugin import BackboneSpec, BlockSpec, DatasetSpec, InputSpec, WeightsSpec
from zoo.registry.plugins.place import find_place

SPECS = {spec.__name__: spec for spec in (BackboneSpec, BlockSpec, DatasetSpec, InputSpec, WeightsSpec)}
MISSPELLED = re.compile(r"(\w+)\.__init__\(\) got an unexpected keyword argument '(\w+)'")


def describe_fault(fault: PluginError, package: str) -> str:
    """Describe a loading error with its location, and with the valid field names if a field is misspelled."""
    message, cause = str(fault), fault.__cause__ or fault
    misspelled = MISSPELLED.search(str(cause))
    if misspelled is not None and misspelled[1] in SPECS:
        fields = [field.name for field in dataclasses.fields(SPECS[misspelled[1]])]
        message = f"{message.rstrip('.')}; its fields are {', '.join(sort_by_likeness(misspelled[2], fields))}"
    place = find_place(cause, package)
    # A place ends with the file and the line, so a message that contains the line names the place already.
    return f"{message.rstrip('.')} ({place})." if place and place not in message else message


def sort_by_likeness(name: str, known: Iterable[str]) -> list[str]:
    """Sort existing names by their similarity to a wrong name, most similar first."""
    names = sorted({*known})
    return difflib.get_close_matches(name, names, n=max(1, len(names)), cutoff=0.0)


def suggest(name: str, known: Iterable[str]) -> str:
    """Return the existing names most similar to a wrong name: ``similar names: layer1, layer2, stem (12 in all)``."""
    names = sort_by_likeness(name, known)
    return f"similar names: {shorten(names)}" if names else "no names exist"


def shorten(names: Sequence[str]) -> str:
    """Return the first three names and the total number: ``conv1.bias, fc.bias (2 in all)``."""
    return f"{', '.join(names[:3])} ({len(names)} in all)"


def list_prefixes(names: Iterable[str]) -> list[str]:
    """List all prefixes of dotted names, including the names themselves."""
    parts = [name.split(".") for name in names]
    return sorted({".".join(path[:end]) for path in parts for end in range(1, len(path) + 1)})
