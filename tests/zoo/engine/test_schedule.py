from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import CosineAnnealingLR, LambdaLR, LRScheduler, StepLR

from zoo.engine.schedule import DROP, FACTORS, LOWEST, Schedule, count_drops, one_cycle
from zoo.registry.recipe import SCHEDULES

LR = 0.5


def list_rates(name: str, steps: int) -> list[float]:
    """List the learning rates of all steps."""
    optimizer = torch.optim.SGD([{"params": [nn.Parameter(torch.ones(1))], "initial_lr": LR}], lr=LR)
    schedule, rates = Schedule(name, steps), []
    for step in range(steps):
        schedule.prepare(optimizer, step)
        rates.append(float(optimizer.param_groups[0]["lr"]))
    return rates


def build_torch_scheduler(name: str, optimizer: Optimizer, steps: int) -> LRScheduler:
    return {
        "constant": lambda: LambdaLR(optimizer, lambda _step: 1.0),
        "cosine": lambda: CosineAnnealingLR(optimizer, T_max=steps),
        "step": lambda: StepLR(optimizer, step_size=max(1, math.ceil(steps / 3)), gamma=0.1),
    }[name]()


def test_every_name_has_a_schedule() -> None:
    assert set(FACTORS) == set(SCHEDULES)


@pytest.mark.parametrize("name", ["constant", "cosine", "step"])
@given(steps=st.integers(1, 200))
@settings(max_examples=25, deadline=None)
def test_each_schedule_equals_torchs_scheduler(name: str, steps: int) -> None:
    optimizer = torch.optim.SGD([nn.Parameter(torch.ones(1))], lr=LR)
    theirs, rates = build_torch_scheduler(name, optimizer, steps), []
    for _ in range(steps):
        rates.append(float(optimizer.param_groups[0]["lr"]))
        optimizer.step()
        theirs.step()
    assert list_rates(name, steps) == pytest.approx(rates, rel=1e-6, abs=1e-9)


def test_each_group_uses_a_fraction_of_its_own_initial_lr() -> None:
    groups = [{"params": [nn.Parameter(torch.ones(1))], "initial_lr": lr} for lr in (1.0, 0.1)]
    optimizer = torch.optim.SGD(groups, lr=7.0)
    Schedule("cosine", 4).prepare(optimizer, 2)
    assert [group["lr"] for group in optimizer.param_groups] == pytest.approx([0.5, 0.05])


@given(steps=st.integers(1, 5000))
@settings(max_examples=50, deadline=None)
def test_onecycle_rises_for_a_quarter_of_the_steps_and_then_falls(steps: int) -> None:
    factors = [one_cycle(step, steps) for step in range(steps)]
    top = factors.index(max(factors))
    assert factors[top] == pytest.approx(1)
    assert abs(top + 1 - max(1, steps / 4)) <= 0.5
    assert factors == sorted(factors[:top]) + sorted(factors[top:], reverse=True)
    assert min(factors) > 0


@pytest.mark.parametrize("steps", [100, 1000, 100_000])
def test_onecycle_starts_low_and_ends_near_zero(steps: int) -> None:
    assert one_cycle(0, steps) == pytest.approx(LOWEST, abs=1e-2)
    assert 0 < one_cycle(steps - 1, steps) < 1e-3
    assert one_cycle(steps, steps) == pytest.approx(0)  # one step after the last one


@pytest.mark.parametrize(
    ("steps", "factors"), [(1, [1]), (2, [1, 0.5]), (3, [1, 0.75, 0.25]), (4, [1, 0.853553, 0.5, 0.146447])]
)
def test_onecycle_with_few_steps_starts_at_the_maximum(steps: int, factors: list[float]) -> None:
    assert [one_cycle(step, steps) for step in range(steps)] == pytest.approx(factors, rel=1e-5)


# Warmup, and drops when the accuracy does not improve.


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize("warmup", [0, 1, 4])
def test_a_schedule_starts_after_warmup(name: str, warmup: int) -> None:
    after = "cosine" if name == "onecycle" and warmup else name  # the learning rate must not rise twice
    with_warmup, plain = Schedule(name, 10 + warmup, warmup), Schedule(after, 10)
    rising = [with_warmup.factor(step) for step in range(warmup)]
    assert rising == [(step + 1) / (warmup + 1) for step in range(warmup)]
    assert [with_warmup.factor(step + warmup) for step in range(10)] == [plain.factor(step) for step in range(10)]


def test_a_run_may_end_during_warmup() -> None:
    assert [Schedule("cosine", 3, 3).factor(step) for step in range(3)] == [0.25, 0.5, 0.75]


@pytest.mark.parametrize(
    ("accuracies", "drops"),
    [
        ([], 0), ([0.5], 0), ([0.5, 0.5], 0), ([0.5, 0.5, 0.4], 1), ([0.5, 0.4, 0.6, 0.5, 0.6], 1),
        ([0.5, 0.4, 0.6, 0.7], 0), ([0.5, 0.1, 0.1, 0.1, 0.1], 2), ([0.5, 0.1, 0.1, 0.6, 0.1, 0.1], 2),
    ],
)  # fmt: skip
def test_the_learning_rate_drops_after_two_epochs_without_improvement(accuracies: list[float], drops: int) -> None:
    assert count_drops([(accuracy, 0.0) for accuracy in accuracies]) == drops
    assert Schedule("plateau", 10, drops=drops).factor(4) == pytest.approx(DROP**drops)
