"""The model and everything else that a training step needs."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from zoo.engine.criterion import Criterion
from zoo.engine.device import Hardware
from zoo.engine.distributed.sync_batch_norm import SyncedBatchNorm
from zoo.engine.ema import MovingAverage
from zoo.engine.micro_batches import MicroBatches
from zoo.engine.replica import Replica
from zoo.engine.schedule import Schedule
from zoo.engine.torch_compile import CompiledModel
from zoo.models.freeze import Frozen

#: Function that mixes the images of a batch. It takes images, labels of shape (N,), and any loss weights of shape
#: (N,). It returns images, targets and any loss weights. Targets are labels of shape (N,) or class probabilities of
#: shape (N, classes).
Mix = Callable[..., tuple[Tensor, ...]]


def mix_nothing(*batch: Tensor) -> tuple[Tensor, ...]:
    """Return the arguments unchanged."""
    return batch


@dataclass(frozen=True)
class StepResult:
    """The result of a step."""

    #: Mean loss over the batch.
    loss: Tensor
    #: Number of correct predictions.
    correct: Tensor
    #: Number of images in the batch.
    count: int


@dataclass
class Learner:
    """The model, the optimizer and the settings of training steps, and the number of steps so far."""

    model: nn.Module
    frozen: Frozen
    criterion: Criterion
    optimizer: Optimizer
    schedule: Schedule
    hardware: Hardware
    scaler: torch.amp.GradScaler
    #: Seed of the run, from which the seed of each step is derived.
    seed: int
    mix: Mix = mix_nothing
    #: Maximum norm of the gradients; larger gradients are scaled down.
    clip_norm: float | None = None
    #: How batches are split into micro-batches, in training and in evaluation.
    micro_batches: MicroBatches = field(default_factory=MicroBatches)
    eval_micro_batches: MicroBatches = field(default_factory=MicroBatches)
    #: Moving average of the weights, which replaces the weights during evaluation and in the saved model.
    average: MovingAverage | None = None
    #: Whether batch norms compute their statistics over the images of all processes.
    syncs_norms: bool = False
    #: Compiled model, which replaces ``model`` in training steps.
    compiled: CompiledModel | None = None
    #: Number of optimizer steps so far.
    steps: int = 0
    #: Whether the phase has looked for parameters without gradients, which it does after its first step.
    is_examined: bool = False
    #: The module that computes the loss, and averages its gradients over the processes.
    replica: Replica = field(init=False)

    def __post_init__(self) -> None:
        is_fixed = self.micro_batches.is_fixed
        self.replica = Replica(self.model, self.criterion, self.hardware.world, is_fixed=is_fixed)

    def syncing_norms(self) -> AbstractContextManager[object]:
        """Return a context in which batch norms use the images of all processes if they should."""
        return SyncedBatchNorm() if self.syncs_norms else nullcontext()

    def give_up_compiling(self, reason: str) -> None:
        """Run the model uncompiled from now on, and report the reason."""
        if self.compiled:
            self.compiled.give_up(reason)
        self.compiled = None
