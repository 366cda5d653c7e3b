"""The tiny network without batch norm and dropout, whose outputs for an image do not depend on other images."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from acme import build_acme, make_acme
from zoo.plugin import BackboneSpec

if TYPE_CHECKING:
    from torch import nn


def build_plain(tag: str | None) -> nn.Module:
    """Build the network. Its parameter names are those of the tiny network."""
    from torch import nn

    model = build_acme(tag)
    for name, module in list(model.named_modules()):
        if isinstance(module, (nn.BatchNorm2d, nn.Dropout)):
            model.set_submodule(name, nn.Identity())
    return model


def make_plain() -> BackboneSpec:
    """Return the spec of this network, under the name of the tiny network."""
    return replace(make_acme(), build=build_plain, params=2310)
