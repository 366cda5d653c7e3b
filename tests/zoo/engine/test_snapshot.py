"""A failed step is undone: buffers are restored, even if a module has replaced them."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from zoo.engine.criterion import Criterion
from zoo.engine.device import choose_hardware
from zoo.engine.learner import Learner
from zoo.engine.optimizer import build_optimizer
from zoo.engine.schedule import Schedule
from zoo.engine.snapshot import Snapshot
from zoo.errors import TrainingError
from zoo.models.freeze import Frozen
from zoo.registry.optimizer_design import OptimizerDesign
from zoo.registry.schedule_design import ScheduleDesign


class Replacing(nn.Module):
    """A model that replaces its buffer in every forward pass."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(2, 2)
        self.register_buffer("seen", torch.zeros(()))

    def forward(self, images: Tensor) -> Tensor:
        self.seen = self.seen + len(images)
        logits: Tensor = self.fc(images)
        return logits


def make_learner(model: nn.Module, trainable: tuple[str, ...] = ("fc",)) -> Learner:
    hardware = choose_hardware("cpu", "fp32")
    frozen = Frozen(model, trainable)
    frozen.train()
    return Learner(
        model=model,
        frozen=frozen,
        criterion=Criterion(),
        optimizer=build_optimizer(OptimizerDesign("sgd"), model.parameters(), 0.1, 0.0),
        schedule=Schedule(ScheduleDesign("constant"), 1),
        hardware=hardware,
        scaler=hardware.build_scaler(),
        seed=0,
    )


def test_a_buffer_that_an_earlier_step_replaced_is_restored() -> None:
    model = Replacing()
    learner = make_learner(model)
    model(torch.ones(3, 2))
    snapshot = Snapshot(learner)
    model.seen.fill_(float("nan"))
    snapshot.restore()
    assert model.seen == 3


def test_a_buffer_that_the_failed_step_replaced_is_restored() -> None:
    model = Replacing()
    seen, snapshot = model.seen, Snapshot(make_learner(model))
    model(torch.ones(3, 2))
    snapshot.restore()
    assert model.seen is seen
    assert model.seen == 0


def test_buffers_of_modules_in_eval_mode_are_not_copied() -> None:
    model = nn.Sequential(nn.BatchNorm1d(2), nn.BatchNorm1d(2))
    snapshot = Snapshot(make_learner(model, trainable=("1",)))
    for norm in (model[0], model[1]):
        norm.running_mean.fill_(7.0)
    snapshot.restore()
    assert model[0].running_mean.tolist() == [7.0, 7.0]
    assert model[1].running_mean.tolist() == [0.0, 0.0]


def test_a_step_that_changed_weights_cannot_be_undone() -> None:
    model = Replacing()
    snapshot = Snapshot(make_learner(model))
    with torch.no_grad():
        model.fc.bias.add_(1)
    with pytest.raises(TrainingError, match="not enough memory for the optimizer state"):
        snapshot.undo()
