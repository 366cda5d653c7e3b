"""What a mutant is: a good backbone with one small change, and what the kit must say of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from specimens.good import declare_conv

if TYPE_CHECKING:
    from torch import nn

    from zoo.plugin import BackboneSpec

#: Changes a built model in place, or returns another one; it is given torch, which a plugin may not import before.
Change = Callable[[Any, Any], "nn.Module | None"]


@dataclass(frozen=True)
class Mutant:
    """A broken backbone."""

    name: str
    #: From each check that must fail, and no other may, to a part of what it says.
    fails: Mapping[str, str]
    declare: Callable[[], BackboneSpec]


MUTANTS: dict[str, Mutant] = {}


def declared(
    name: str,
    fails: Mapping[str, str],
    change: Callable[[], Mapping[str, Any]],
    of: Callable[..., BackboneSpec] = declare_conv,
) -> None:
    """Register what is declared wrongly; the changed fields are made when it is listed."""
    _register(name, fails, lambda: of(**{"name": f"mutants/{name}", **change()}))


def built(
    fails: Mapping[str, str], of: Callable[..., BackboneSpec] = declare_conv, **changes: Any
) -> Callable[[Change], Change]:
    """Register what is built wrongly: the decorated function changes the good model."""

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
    assert name not in MUTANTS, f"there are two mutants {name}"
    MUTANTS[name] = Mutant(name, fails, declare)
