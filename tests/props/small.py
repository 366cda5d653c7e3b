"""A network that is compiled in a few seconds: one convolution, and layers that compilation can get wrong."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import replace

from torch import nn

from acme import make_acme
from zoo.plugin import BlockSpec
from zoo.registry.plugins.load import Plugin
from zoo.registry.registry import Registry
from zoo.registry.registry_toml import RegistryToml


def build_small(_tag: str | None) -> nn.Module:
    """Build the network, with dropout and a batch norm whose statistics change."""
    stem = nn.Sequential(nn.Conv2d(3, 4, 4, stride=4), nn.BatchNorm2d(4), nn.ReLU(), nn.Dropout(0.1))
    return nn.Sequential(OrderedDict(stem=stem, flatten=nn.Flatten(), fc=nn.Linear(64, 10)))


def make_registry() -> Registry:
    """Return a registry with ``small``."""
    blocks = (BlockSpec("stem", ("stem",)),)
    small = replace(
        make_acme(), name="acme/small", build=build_small, head=("fc",), classifier="fc", blocks=blocks, params=854
    )
    return Registry([Plugin("acme", "zoo-acme", "1.0", backbones=(small,))], RegistryToml())
