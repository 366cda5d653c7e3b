"""Which backbones are looked at."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from zoo.plugin import BackboneSpec


def choose_backbones(backbones: Iterable[BackboneSpec], pattern: str = "*", *, each_family: bool) -> list[BackboneSpec]:
    """Choose those whose name, without the namespace, matches a shell pattern; or the smallest of each family."""
    chosen = [spec for spec in backbones if fnmatch.fnmatchcase(str(spec.name).partition("/")[2], pattern)]
    if not each_family:
        return chosen
    smallest: dict[str, BackboneSpec] = {}
    for spec in chosen:
        if spec.family not in smallest or spec.params < smallest[spec.family].params:
            smallest[spec.family] = spec
    return list(smallest.values())
