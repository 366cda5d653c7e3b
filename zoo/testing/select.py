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
        family = str(spec.family)
        if family not in smallest or count_params(spec) < count_params(smallest[family]):
            smallest[family] = spec
    return list(smallest.values())


def count_params(spec: BackboneSpec) -> int:
    """Return the declared number of parameters; 0 where it is no number, which ``spec.fields`` tells."""
    return spec.params if isinstance(spec.params, int) else 0
