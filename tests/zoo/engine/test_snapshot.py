"""What a step may change is put back, wherever a module holds it by then."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from zoo.engine.snapshot import Snapshot


class Replacing(nn.Module):
    """Puts another tensor in place of its buffer at every pass."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(2, 2)
        self.register_buffer("seen", torch.zeros(()))

    def forward(self, images: Tensor) -> Tensor:
        self.seen = self.seen + len(images)
        logits: Tensor = self.fc(images)
        return logits


def make_snapshot(model: nn.Module) -> Snapshot:
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    return Snapshot(model, optimizer, torch.amp.GradScaler("cpu", enabled=False))


def test_a_buffer_that_was_replaced_in_an_earlier_step_is_followed() -> None:
    model = Replacing()
    snapshot = make_snapshot(model)
    model(torch.ones(3, 2))
    snapshot.refresh()
    assert snapshot.buffers[0] is model.seen
    model.seen.fill_(float("nan"))
    snapshot.restore()
    assert model.seen == 3


def test_buffers_of_modules_in_eval_mode_are_left_alone() -> None:
    model = nn.Sequential(nn.BatchNorm1d(2), nn.BatchNorm1d(2))
    model[0].eval()
    assert len(make_snapshot(model).buffers) == 3
    assert all(buffer is not model[0].running_mean for buffer in make_snapshot(model).buffers)


def test_a_buffer_that_changes_its_shape_or_comes_later_is_followed() -> None:
    model = Replacing()
    snapshot = make_snapshot(model)
    model.seen = torch.zeros(3)
    model.register_buffer("late", torch.ones(2))
    snapshot.refresh()
    model.seen.fill_(7.0)
    model.late.fill_(7.0)
    snapshot.restore()
    assert model.seen.tolist() == [0.0, 0.0, 0.0]
    assert model.late.tolist() == [1.0, 1.0]
