"""Mixed precision together with the options that change gradients, weights or the number of steps."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from compared_training import run_both
from option_values import VALUES
from small_steps import Plain, make_batch, make_learner, state_of
from zoo.engine.distributed.world import ALONE
from zoo.engine.ema import MovingAverage
from zoo.engine.micro_batches import MicroBatches
from zoo.engine.schedule import Schedule
from zoo.engine.step import learn
from zoo.registry.schedule_design import ScheduleDesign

#: Loss scale of fp16.
SCALE = 2.0**10
LR = 0.02


def make_scaled(model: nn.Module, **changes: Any) -> Any:
    """Create a learner whose losses are scaled as with fp16, although it computes in fp32."""
    scaler = torch.amp.GradScaler("cpu", init_scale=SCALE)
    scaler.scale(torch.zeros(()))
    return make_learner(model, ALONE, optimizer="sgd", scaler=scaler, **changes)


@pytest.mark.parametrize("clip_norm", [None, 0.05])
@pytest.mark.parametrize("accumulate", [1, 3])
def test_fp16_clips_and_adds_up_unscaled_gradients(clip_norm: float | None, accumulate: int) -> None:
    model = Plain()
    twin, (images, labels) = copy.deepcopy(model), make_batch(7)
    learner = make_scaled(model, clip_norm=clip_norm, micro_batches=MicroBatches(accumulate))
    optimizer = torch.optim.SGD(
        [{"params": [p], "weight_decay": 0.1 if p.ndim > 1 else 0.0} for p in twin.parameters()], lr=LR, momentum=0.9
    )
    for step in range(4):
        learn(learner, (images, labels), step)
        optimizer.zero_grad()
        cross_entropy(twin(images), labels).backward()
        if clip_norm is not None:
            nn.utils.clip_grad_norm_(twin.parameters(), clip_norm)
        optimizer.step()
    assert learner.scaler.get_scale() == SCALE
    torch.testing.assert_close(model.state_dict(), twin.state_dict(), rtol=1e-5, atol=1e-6)


def test_a_step_that_fp16_skips_counts_neither_for_the_schedule_nor_for_the_average() -> None:
    model, (images, labels) = Plain(), make_batch(7)
    average = MovingAverage(dict(model.named_parameters()), 0.9)
    learner = make_scaled(model, average=average, schedule=Schedule(ScheduleDesign("cosine"), 4), clip_norm=0.5)
    rates = []
    for step in range(4):
        before, overflow = state_of(learner), model.fc.weight.register_hook(lambda g: g * float("inf"))
        if step != 1:
            overflow.remove()
        learn(learner, (images, labels), step)
        overflow.remove()
        is_unchanged = all(torch.equal(tensor, before[name]) for name, tensor in state_of(learner).items() if step)
        assert is_unchanged == (step == 1) or not step
        rates.append(learner.optimizer.param_groups[0]["lr"])
    expected = [LR * Schedule(ScheduleDesign("cosine"), 4).factor(step) for step in (0, 1, 1, 2)]
    assert rates == pytest.approx(expected)
    assert (learner.steps, learner.scaler.get_scale()) == (3, SCALE / 2)


@pytest.mark.parametrize("option", ["ema", "clip_norm", "accumulate", "balance=loss", "mixup", "train=from"])
def test_bf16_changes_the_forward_pass_only(few_blue: Path, option: str) -> None:
    """Weights, averages and gradients stay in fp32, so that small updates are not lost."""
    values = {**VALUES[option], "epochs": 1}
    found, expected = run_both(few_blue, {**values, "precision": "bf16"})
    full, _ = run_both(few_blue, values)
    floats = {name: tensor for name, tensor in found.states[-1].items() if tensor.is_floating_point()}
    assert {tensor.dtype for tensor in floats.values()} == {torch.float32}
    assert not all(torch.equal(tensor, full.states[-1][name].float()) for name, tensor in floats.items())
    torch.testing.assert_close(found.states[-1], expected.states[-1], rtol=0, atol=5e-3)
