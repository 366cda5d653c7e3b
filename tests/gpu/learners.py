"""Learners of small real networks on a device, for tests of single steps."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from zoo.engine.criterion import Criterion
from zoo.engine.device import Hardware
from zoo.engine.learner import Learner
from zoo.engine.micro_batches import MicroBatches
from zoo.engine.optimizer import build_optimizer
from zoo.engine.schedule import Schedule
from zoo.models.freeze import Frozen
from zoo.registry.optimizer_design import OptimizerDesign
from zoo.registry.schedule_design import ScheduleDesign

CLASSES = 3


class Wide(nn.Sequential):
    """A network without batch norm whose activations take much more memory than its weights.

    Because there is no batch norm, micro-batches produce the same gradients as the full batch.
    """

    def __init__(self, width: int = 32) -> None:
        super().__init__(
            nn.Conv2d(3, width, 3, padding=1), nn.Tanh(),
            nn.Conv2d(width, width, 3, padding=1), nn.Tanh(),
            nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, CLASSES),
        )  # fmt: skip


def build_wide(device: torch.device) -> nn.Module:
    """Build the network with the same weights each time."""
    torch.manual_seed(1)
    return Wide().to(device)


def make_learner(model: nn.Module, hardware: Hardware, say: Callable[[str], None] = lambda _line: None) -> Learner:
    """Build a learner that trains the full model."""
    frozen = Frozen(model, tuple(name for name, _ in model.named_children()))
    frozen.train()
    return Learner(
        model=model,
        frozen=frozen,
        criterion=Criterion(),
        optimizer=build_optimizer(
            OptimizerDesign("sgd"), model.parameters(), 0.01, 0.1
        ),  # Adam would amplify gradients that are nearly zero
        schedule=Schedule(ScheduleDesign("constant"), 10),
        hardware=hardware,
        scaler=hardware.build_scaler(),
        seed=0,
        micro_batches=MicroBatches(1, say),
    )


def generate_batch(device: torch.device, count: int, size: int) -> tuple[Tensor, Tensor]:
    """Generate images of shape (count, 3, size, size) and labels of shape (count,)."""
    generator = torch.Generator().manual_seed(5)
    images = torch.randn(count, 3, size, size, generator=generator)
    labels = torch.randint(0, CLASSES, (count,), generator=generator)
    return images.to(device), labels.to(device)


def copy_state(model: nn.Module) -> dict[str, Tensor]:
    """Return copies of a model's parameters and buffers, on the CPU."""
    return {name: tensor.detach().cpu().clone() for name, tensor in model.state_dict().items()}
