"""A tiny network with constants: a mask and sine-cosine positions; and with parameters that get no gradient."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from acme import make_acme
from zoo.plugin import BackboneSpec, BlockSpec
from zoo.registry.plugins.load import Plugin
from zoo.registry.registry import Registry
from zoo.registry.registry_toml import RegistryToml

if TYPE_CHECKING:
    from torch import Tensor, nn

#: Names of the constants.
FIXED = ("layer1.mask", "positions")


def build_masked(_tag: str | None) -> nn.Module:
    """Build a network with a mask in its second block, positions in its first, and a token that nothing uses."""
    import torch
    from torch import nn

    class Masked(nn.Sequential):
        """A convolution whose kernel has gaps, as in XDenseNet, followed by a batch norm and a dropout."""

        def __init__(self) -> None:
            super().__init__(nn.Conv2d(8, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.Dropout(0.1))
            self.mask = nn.Parameter((torch.arange(576) % 3 > 0).float().reshape(8, 8, 3, 3), requires_grad=False)

        def forward(self, features: Tensor) -> Tensor:
            conv = self[0]
            features = nn.functional.conv2d(features, conv.weight * self.mask, conv.bias, padding=1)
            return self[3](self[2](self[1](features)))

    class MaskNet(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.stem = nn.Conv2d(3, 8, 3, padding=1, stride=2)
            angles = torch.arange(64).float().reshape(1, 8, 8) / 10
            self.positions = nn.Parameter(angles.sin(), requires_grad=False)
            self.token = nn.Parameter(torch.zeros(8))
            self.layer1 = Masked()
            self.fc = nn.Linear(8, 10)

        def forward(self, images: Tensor) -> Tensor:
            return self.fc(self.layer1(self.stem(images) + self.positions).mean((2, 3)))

    return MaskNet()


def make_masked(**changes: Any) -> BackboneSpec:
    """Return the spec of the network."""
    blocks = BlockSpec("stem", ("stem", "positions", "token")), BlockSpec("layer1", ("layer1",))
    fields: dict[str, Any] = {"head": ("fc",), "classifier": None, "blocks": blocks, "params": 1562}
    fields |= {"build": build_masked, "fixed": FIXED, "unused": ("token",)}
    return replace(make_acme(), **{**fields, **changes})


def make_masked_registry(**changes: Any) -> Registry:
    """Return a registry with only this network."""
    return Registry([Plugin("acme", "zoo-acme", "1.0", backbones=(make_masked(**changes),))], RegistryToml())
