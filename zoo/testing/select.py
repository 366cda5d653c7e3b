"""Which backbones are checked."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable

from zoo.plugin import BackboneSpec


def choose_backbones(backbones: Iterable[BackboneSpec], pattern: str = "*", *, each_family: bool) -> list[BackboneSpec]:
    """Choose those whose name, without the namespace, matches a shell pattern; or the smallest of each family."""
    chosen = [spec for spec in backbones if fnmatch.fnmatchcase(str(spec.name).partition("/")[2], pattern)]
    if not each_family:
        return chosen
    smallest: dict[str, BackboneSpec] = {}
    for spec in sorted(chosen, key=count_params):
        smallest.setdefault(str(spec.family), spec)
    return [spec for spec in chosen if spec is smallest[str(spec.family)]]


def count_params(spec: BackboneSpec) -> int:
    """Return the declared number of parameters; 0 if it is no number, which ``spec.fields`` reports."""
    return spec.params if isinstance(spec.params, int) else 0
