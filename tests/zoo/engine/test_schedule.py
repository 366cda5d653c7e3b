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
    """List the rates with which each of the steps is taken."""
    optimizer = torch.optim.SGD([{"params": [nn.Parameter(torch.ones(1))], "initial_lr": LR}], lr=LR)
    schedule, rates = Schedule(name, steps), []
    for step in range(steps):
        schedule.prepare(optimizer, step)
        rates.append(float(optimizer.param_groups[0]["lr"]))
    return rates


def build_torch_s(name: str, optimizer: Optimizer, steps: int) -> LRScheduler:
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
def test_a_name_means_torchs_schedule(name: str, steps: int) -> None:
    optimizer = torch.optim.SGD([nn.Parameter(torch.ones(1))], lr=LR)
    theirs, rates = build_torch_s(name, optimizer, steps), []
    for _ in range(steps):
        rates.append(float(optimizer.param_groups[0]["lr"]))
        optimizer.step()
        theirs.step()
    assert list_rates(name, steps) == pytest.approx(rates, rel=1e-6, abs=1e-9)


def test_each_group_takes_a_share_of_its_own_highest_rate() -> None:
    groups = [{"params": [nn.Parameter(torch.ones(1))], "initial_lr": lr} for lr in (1.0, 0.1)]
    optimizer = torch.optim.SGD(groups, lr=7.0)
    Schedule("cosine", 4).prepare(optimizer, 2)
    assert [group["lr"] for group in optimizer.param_groups] == pytest.approx([0.5, 0.05])


@given(steps=st.integers(1, 5000))
@settings(max_examples=50, deadline=None)
def test_onecycle_rises_for_a_quarter_to_the_highest_rate_and_then_falls(steps: int) -> None:
    shares = [one_cycle(step, steps) for step in range(steps)]
    top = shares.index(max(shares))
    assert shares[top] == pytest.approx(1)
    assert abs(top + 1 - max(1, steps / 4)) <= 0.5
    assert shares == sorted(shares[:top]) + sorted(shares[top:], reverse=True)
    assert min(shares) > 0


@pytest.mark.parametrize("steps", [100, 1000, 100_000])
def test_onecycle_begins_low_and_ends_next_to_zero(steps: int) -> None:
    assert one_cycle(0, steps) == pytest.approx(LOWEST, abs=1e-2)
    assert 0 < one_cycle(steps - 1, steps) < 1e-3
    assert one_cycle(steps, steps) == pytest.approx(0)  # which no step is taken at


@pytest.mark.parametrize(
    ("steps", "shares"), [(1, [1]), (2, [1, 0.5]), (3, [1, 0.75, 0.25]), (4, [1, 0.853553, 0.5, 0.146447])]
)
def test_onecycle_over_few_steps_begins_at_the_highest_rate(steps: int, shares: list[float]) -> None:
    assert [one_cycle(step, steps) for step in range(steps)] == pytest.approx(shares, rel=1e-5)


# Warming up, and dropping where nothing gets better.


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize("warmup", [0, 1, 4])
def test_a_schedule_begins_when_it_is_warm(name: str, warmup: int) -> None:
    warm, plain = Schedule(name, 10 + warmup, warmup), Schedule(name, 10)
    rising = [warm.factor(step) for step in range(warmup)]
    assert rising == [(step + 1) / (warmup + 1) for step in range(warmup)]
    assert [warm.factor(step + warmup) for step in range(10)] == [plain.factor(step) for step in range(10)]


def test_a_run_may_be_over_before_it_is_warm() -> None:
    assert [Schedule("cosine", 3, 3).factor(step) for step in range(3)] == [0.25, 0.5, 0.75]


@pytest.mark.parametrize(
    ("accuracies", "drops"),
    [
        ([], 0), ([0.5], 0), ([0.5, 0.5], 0), ([0.5, 0.5, 0.4], 1), ([0.5, 0.4, 0.6, 0.5, 0.6], 1),
        ([0.5, 0.4, 0.6, 0.7], 0), ([0.5, 0.1, 0.1, 0.1, 0.1], 2), ([0.5, 0.1, 0.1, 0.6, 0.1, 0.1], 2),
    ],
)  # fmt: skip
def test_the_rate_drops_where_two_epochs_are_no_better(accuracies: list[float], drops: int) -> None:
    assert count_drops([(accuracy, 0.0) for accuracy in accuracies]) == drops
    assert Schedule("plateau", 10, drops=drops).factor(4) == pytest.approx(DROP**drops)
