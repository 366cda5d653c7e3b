"""Tiny networks that other libraries could have: their output is an object, they have no head, or a scale follows it.

All of them compute the same as `PlainNet` and have the same names, so their runs must be the same, byte for byte.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from acme import INPUT
from zoo.plugin import BackboneSpec, BlockSpec
from zoo.registry.plugins.load import Plugin
from zoo.registry.registry import Registry
from zoo.registry.registry_toml import RegistryToml

WIDTH, CLASSES = 12, 10
#: Number of parameters without a head.
PARAMS = 2244


def conv(inputs: int, outputs: int) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, padding=1, stride=2), nn.BatchNorm2d(outputs), nn.ReLU(), nn.Dropout(0.1)
    )


class Body(nn.Module):
    """Everything before the head: batch norms, dropouts and a hidden layer."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = conv(3, 8)
        self.layer1 = conv(8, 8)
        self.layer2 = conv(8, 16)
        self.hidden = nn.Sequential(nn.Linear(16, WIDTH), nn.ReLU(), nn.Dropout(0.1))

    def run_features(self, images: Tensor) -> Tensor:
        """Return features of shape (N, 12)."""
        features: Tensor = self.hidden(self.layer2(self.layer1(self.stem(images))).mean((2, 3)))
        return features


class PlainNet(Body):
    """A network with a head, which returns logits."""

    def __init__(self, num_classes: int = CLASSES) -> None:
        super().__init__()
        self.head = nn.Linear(WIDTH, num_classes)

    def forward(self, images: Tensor) -> Any:
        return self.head(self.run_features(images))


@dataclass
class Output:
    """What networks of some libraries return."""

    logits: Tensor
    hidden: Tensor


class FieldNet(PlainNet):
    """A network that returns an object."""

    def forward(self, images: Tensor) -> Output:
        features = self.run_features(images)
        return Output(self.head(features), features)


class MappingNet(PlainNet):
    """A network that returns a dictionary."""

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        features = self.run_features(images)
        return {"hidden": features, "logits": self.head(features)}


class Tower(Body):
    """A network without a head."""

    def forward(self, images: Tensor) -> Any:
        return self.run_features(images)


class FieldTower(Tower):
    """A network without a head that returns an object."""

    def forward(self, images: Tensor) -> Output:
        features = self.run_features(images)
        return Output(features.mean(1), features)


class ScaledNet(PlainNet):
    """A network that multiplies the logits by a parameter, which does not change them at first."""

    def __init__(self, num_classes: int = CLASSES) -> None:
        super().__init__(num_classes)
        self.logit_scale = nn.Parameter(torch.zeros(()))

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.head(functional.normalize(self.run_features(images)))
        return logits * self.logit_scale.exp()


def declare(kind: type[nn.Module], **changes: Any) -> BackboneSpec:
    """Declare one of the networks; all of them have the same name."""
    is_tower = issubclass(kind, Tower)
    own: dict[type[nn.Module], dict[str, Any]] = {
        FieldNet: {"output_field": "logits"},
        MappingNet: {"output_field": "logits"},
        Tower: {"features": WIDTH},
        FieldTower: {"features": WIDTH, "output_field": "hidden"},
        ScaledNet: {"head_parameters": ("logit_scale",), "params": PARAMS + 131},
    }
    facts: dict[str, Any] = {
        "name": "acme/net",
        "family": "acme",
        "build": lambda _tag: kind(),
        "head": ("head",),
        "blocks": tuple(BlockSpec(name, (name,)) for name in ("stem", "layer1", "layer2", "hidden")),
        "num_classes": CLASSES,
        "params": PARAMS + (0 if is_tower else 130),
        "license": "MIT",
        "input": INPUT,
        "constructor": f"foreign.{kind.__name__}({'' if is_tower else '{num_classes}'})",
    }
    return BackboneSpec(**{**facts, **own.get(kind, {}), **changes})


def make_registry(kind: type[nn.Module], **changes: Any) -> Registry:
    """Return a registry with only one of the networks."""
    return Registry([Plugin("acme", "zoo-acme", "1.0", backbones=(declare(kind, **changes),))], RegistryToml())
