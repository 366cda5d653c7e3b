"""Selection of the backbones to check."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable

from zoo.plugin import BackboneSpec


def choose_backbones(backbones: Iterable[BackboneSpec], pattern: str = "*", *, each_family: bool) -> list[BackboneSpec]:
    """Return the backbones to check, in their original order.

    Args:
        backbones: Specs, which may be invalid.
        pattern: Shell pattern that the name, without the namespace, must match.
        each_family: Whether to return only the smallest backbone of each family.
    """
    chosen = [spec for spec in backbones if fnmatch.fnmatchcase(str(spec.name).partition("/")[2], pattern)]
    if not each_family:
        return chosen
    smallest: dict[str, BackboneSpec] = {}
    for spec in sorted(chosen, key=count_params):
        smallest.setdefault(str(spec.family), spec)
    return [spec for spec in chosen if spec is smallest[str(spec.family)]]


def count_params(spec: BackboneSpec) -> int:
    """Return the declared number of parameters, or 0 if it is not a number, which ``spec.fields`` reports."""
    return spec.params if isinstance(spec.params, int) else 0
