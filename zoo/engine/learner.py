"""What learns, and how: everything that one optimizer step needs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from zoo.engine.criterion import Criterion
from zoo.engine.device import Hardware
from zoo.engine.distributed.sync_batch_norm import SharedNorms
from zoo.engine.ema import MovingAverage
from zoo.engine.micro_batches import MicroBatches
from zoo.engine.schedule import Schedule
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
    #: How batches are split into micro-batches, in training and in evaluation.
    micro_batches: MicroBatches = field(default_factory=MicroBatches)
    eval_micro_batches: MicroBatches = field(default_factory=MicroBatches)
    #: Moving average of the weights, which replaces the weights in evaluation and in the saved model.
    average: MovingAverage | None = None
    #: Batch norms whose statistics are computed over all processes.
    norms: SharedNorms | None = None
    #: The compiled model, which replaces `model` in training steps.
    compiled: CompiledModel | None = None
    #: Number of optimizer steps so far.
    steps: int = 0

    def give_up_compiling(self, reason: str) -> None:
        """Run the model uncompiled from now on, and report the reason."""
        if self.compiled:
            self.compiled.give_up(reason)
        self.compiled = None
