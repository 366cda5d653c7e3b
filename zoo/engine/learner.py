"""What learns, and how: everything that one optimizer step needs."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from zoo.engine.criterion import Criterion
from zoo.engine.device import Hardware
from zoo.engine.distributed.sync_batch_norm import SharedNorms
from zoo.engine.ema import MovingAverage
from zoo.engine.micro_batches import MicroBatches
from zoo.engine.schedule import Schedule
from zoo.engine.snapshot import Snapshot
from zoo.engine.torch_compile import CompiledModel
from zoo.models.freeze import Frozen

#: Turns a batch and its labels into another batch, and its labels or the share of each class, (N, classes).
Mix = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]


def mix_nothing(images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Return them as they are."""
    return images, labels


@dataclass(frozen=True)
class StepResult:
    """What a step saw."""

    #: The mean loss over the batch.
    loss: Tensor
    #: How many of its images were told right, and how many there were.
    correct: Tensor
    count: int


@dataclass
class Learner:
    """What one step of learning needs, and how many were taken."""

    model: nn.Module
    frozen: Frozen
    criterion: Criterion
    optimizer: Optimizer
    schedule: Schedule
    hardware: Hardware
    scaler: torch.amp.GradScaler
    #: Of the run, which decides what dropouts drop.
    seed: int
    mix: Mix = mix_nothing
    #: The norm that gradients are cut down to, where they have a larger one.
    clip_norm: float | None = None
    #: In how many parts batches are learned from, and measured.
    parts: MicroBatches = field(default_factory=MicroBatches)
    measuring: MicroBatches = field(default_factory=MicroBatches)
    #: The moving average of the weights, which is what is measured and kept, if there is one.
    average: MovingAverage | None = None
    #: Of several processes, if batch norms are to compare the images of all of them.
    norms: SharedNorms | None = None
    #: What the model's place is taken by while it learns, if it is compiled.
    compiled: CompiledModel | None = None
    #: Optimizer steps that were taken.
    steps: int = 0
    _snapshot: Snapshot | None = field(default=None, init=False, repr=False)

    def averaged(self) -> AbstractContextManager[None]:
        """Put the average of the weights, if there is one, into the model until the block is over."""
        return self.average.in_place() if self.average else nullcontext()

    def take_snapshot(self) -> Snapshot:
        """Remember what a step may change before it fails."""
        if self._snapshot is None:
            self._snapshot = Snapshot(self.model, self.optimizer, self.scaler)
        self._snapshot.refresh()
        return self._snapshot

    def list_statistics(self) -> list[Tensor]:
        """List the buffers that a pass in training mode updates."""
        return self._snapshot.buffers if self._snapshot else []

    def choose_model(self, size: int) -> Callable[[Tensor], Any]:
        """Return what a batch of so many images is learned from with."""
        return self.compiled.choose(size) if self.compiled else self.model

    def give_up_compiling(self, reason: str) -> None:
        """Let batches go through the model as it is from here on, and say why."""
        if self.compiled:
            self.compiled.give_up(reason)
        self.compiled = None

    def lr_factor(self) -> float:
        """Return by what the next step multiplies the highest rate."""
        return self.schedule.factor(self.steps)
