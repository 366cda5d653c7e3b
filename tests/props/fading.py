"""A network that is perfect in the first epoch of three steps and wrong afterwards."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn

from zoo.plugin import BackboneSpec, BlockSpec


class Fades(nn.Module):
    """A network that negates its logits after three forward passes in training mode."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(3, 2, bias=False)
        self.register_buffer("passes", torch.zeros((), dtype=torch.int64))
        with torch.no_grad():
            self.fc.weight.copy_(torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]))

    def forward(self, images: Tensor) -> Tensor:
        if self.training:
            self.passes += 1
        logits: Tensor = self.fc(images.mean((2, 3))) * (1 if self.passes <= 3 else -1)
        return logits


def make_fades(acme: BackboneSpec) -> BackboneSpec:
    """Return a spec with the same input and classes as the tiny network."""
    return replace(
        acme, name="acme/fades", build=lambda _tag: Fades(), head=("fc",), classifier=None, num_classes=2,
        blocks=(BlockSpec("passes", ("passes",)),), params=6,
    )  # fmt: skip
