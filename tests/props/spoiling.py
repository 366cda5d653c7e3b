"""A network in which any number can become non-finite, a run of it, and a check of the run folder."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from acme import INPUT
from quick_runs import LEARNS
from zoo.engine.learner import Learner
from zoo.engine.state import Checkpoint
from zoo.plugin import BackboneSpec, BlockSpec
from zoo.runs.checkpoints import Checkpoints

NAN, INF = float("nan"), float("inf")
#: Two epochs of four steps. A value becomes non-finite after the fifth step, the first step of the second epoch.
OPTIONS: dict[str, Any] = {**LEARNS, "epochs": 2, "schedule": "constant", "augment": "none"}
TAKEN = 5

#: A function that makes the network produce this value from the next step on.
Spoil = Callable[[Learner, float], object]


class Speaking(nn.Module):
    """A network with a convolution, a batch norm, a hidden layer, a head, and an auxiliary head for training."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 4, 4, stride=4), nn.BatchNorm2d(4), nn.Flatten())
        self.hidden = nn.Linear(64, 8)
        self.fc = nn.Linear(8, 10)
        self.aux = nn.Linear(64, 10)

    def forward(self, images: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        features = self.stem(images)
        logits: Tensor = self.fc(self.hidden(features).tanh())
        return (logits, self.aux(features)) if self.training else logits


SPEC = BackboneSpec(
    name="acme/net",
    family="acme",
    build=lambda _tag: Speaking(),
    head=("fc",),
    aux_heads=("aux",),
    aux_weight=0.3,
    blocks=(BlockSpec("stem", ("stem",)), BlockSpec("hidden", ("hidden",))),
    num_classes=10,
    params=1464,
    license="MIT",
    input=INPUT,
)


def times(tensor: Tensor, value: float) -> Tensor:
    """Return the tensor with its last number multiplied by the value."""
    factors = torch.ones_like(tensor)
    factors[(-1,) * tensor.ndim] = value
    return tensor * factors


@dataclass(frozen=True)
class LeftFiles:
    """The model and the checkpoint that a run left, in which all values are finite."""

    model: bytes
    state: Checkpoint | None

    @classmethod
    def of(cls, output: Path) -> LeftFiles:
        path, folder = output / "model.safetensors", output / "checkpoints"
        for file in (path, *folder.glob("*.safetensors")):
            assert all(tensor.isfinite().all() for tensor in load_file(file).values()), file
        state, complaints = Checkpoints(folder).load()
        assert not complaints
        return cls(path.read_bytes(), state)
