"""Learners of a tiny network, and their training in processes that share batches."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from recording_progress import RecordingProgress
from zoo.data.sampler import Sampler
from zoo.engine.criterion import Criterion
from zoo.engine.device import choose_hardware
from zoo.engine.distributed.world import World
from zoo.engine.learner import Learner
from zoo.engine.micro_batches import MicroBatches
from zoo.engine.optimizer import build_optimizer
from zoo.engine.schedule import Schedule
from zoo.models.freeze import Frozen
from zoo.registry.optimizer_design import OptimizerDesign
from zoo.registry.schedule_design import ScheduleDesign

Batch = tuple[Tensor, Tensor]
CLASSES = 3


def do_nothing() -> None:
    """Do nothing."""


class Plain(nn.Module):
    """A network with an unused layer and a layer for bright images only. It fails on demand."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.body = nn.Linear(12, 8)
        self.fc = nn.Linear(8, CLASSES)
        self.bright = nn.Linear(8, CLASSES)
        self.spare = nn.Linear(8, CLASSES)
        self.fail: Callable[[], None] = do_nothing

    def forward(self, images: Tensor) -> Tensor:
        features = self.body(images.flatten(1)).tanh()
        self.fail()
        logits: Tensor = self.fc(features)
        bright = images.mean((1, 2, 3)) > 1
        return logits + bright[:, None] * self.bright(features) if bright.any() else logits


class Normed(Plain):
    """A network with batch norm and dropout."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(12)
        self.dropout = nn.Dropout(0.2)

    def forward(self, images: Tensor) -> Tensor:
        return super().forward(self.dropout(self.norm(images.flatten(1))).reshape(images.shape))


def make_learner(
    model: nn.Module,
    world: World,
    progress: RecordingProgress | None = None,
    optimizer: str = "adamw",
    **changes: object,
) -> Learner:
    """Create a learner of the full model; ``changes`` are fields of the learner."""
    hardware = choose_hardware("cpu", "fp32", world)
    frozen = Frozen(model, tuple(name for name, _ in model.named_children()))
    frozen.train()
    defaults: dict[str, object] = {
        "model": model,
        "frozen": frozen,
        "criterion": Criterion(),
        "optimizer": build_optimizer(OptimizerDesign(optimizer), model.parameters(), 0.02, 0.1),
        "schedule": Schedule(ScheduleDesign("constant"), 10),
        "hardware": hardware,
        "scaler": hardware.build_scaler(),
        "seed": 0,
        "micro_batches": MicroBatches(1, (progress or RecordingProgress()).say),
    }
    return Learner(**{**defaults, **changes})  # type: ignore[arg-type]


def make_batch(count: int) -> Batch:
    """Generate images, the last of which is bright, and labels."""
    generator = torch.Generator().manual_seed(5)
    images = torch.randn(count, 3, 2, 2, generator=generator)
    images[-1:] += 3
    return images, torch.randint(0, CLASSES, (count,), generator=generator)


def share(batch: Batch, world: World) -> Batch:
    """Return one process's part of a batch."""
    images, labels = batch
    mine = Sampler(len(labels), 0, rank=world.rank, ranks=world.size).local_part(range(len(labels)))
    return images[list(mine)], labels[list(mine)]


def state_of(learner: Learner) -> dict[str, Tensor]:
    """Return everything that a step changes: weights and statistics, their average, and the state of the optimizer."""
    names = {parameter: name for name, parameter in learner.model.named_parameters()}
    slots = {
        f"{names[parameter]} {slot}": value
        for parameter, kept in learner.optimizer.state.items()
        for slot, value in kept.items()
        if isinstance(value, Tensor)
    }
    averages = (
        {f"{name} average": tensor for name, tensor in learner.average.tensors.items()} if learner.average else {}
    )
    return {name: tensor.clone() for name, tensor in {**learner.model.state_dict(), **slots, **averages}.items()}
