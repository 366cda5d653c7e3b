"""Mutants: good backbones with one small change each, and the failures that the kit must report."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from specimens.good import declare_conv

if TYPE_CHECKING:
    from torch import nn

    from zoo.plugin import BackboneSpec

#: Function that changes a built model in place, or returns a new one. Its second argument is torch.
Change = Callable[[Any, Any], "nn.Module | None"]


@dataclass(frozen=True)
class Mutant:
    """A broken backbone."""

    name: str
    #: Part of the message of each check that must fail; no other check may fail.
    fails: Mapping[str, str]
    declare: Callable[[], BackboneSpec]


MUTANTS: dict[str, Mutant] = {}


def declared(
    name: str,
    fails: Mapping[str, str],
    change: Callable[[], Mapping[str, Any]],
    of: Callable[..., BackboneSpec] = declare_conv,
) -> None:
    """Register a wrong declaration; the changed fields are created when the backbone is listed."""
    _register(name, fails, lambda: of(**{"name": f"mutants/{name}", **change()}))


def built(
    fails: Mapping[str, str], of: Callable[..., BackboneSpec] = declare_conv, **changes: Any
) -> Callable[[Change], Change]:
    """Register a wrong builder: the decorated function changes the good model."""

    def register(change: Change) -> Change:
        name = change.__name__.replace("_", "-")

        def declare() -> BackboneSpec:
            good = of(f"mutants/{name}")

            def build(tag: str | None) -> nn.Module:
                import torch

                model = good.build(tag)
                other = change(model, torch)
                return model if other is None else other

            return replace(good, **{"build": build, **changes})

        _register(name, fails, declare)
        return change

    return register


def _register(name: str, fails: Mapping[str, str], declare: Callable[[], BackboneSpec]) -> None:
    assert name not in MUTANTS, f"two mutants have the name {name}"
    MUTANTS[name] = Mutant(name, fails, declare)
