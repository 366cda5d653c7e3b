from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import CosineAnnealingLR, LambdaLR, LRScheduler, StepLR

from zoo.engine.schedule import DROP, FACTORS, LOWEST, Schedule, count_drops, one_cycle
from zoo.registry.schedule_design import SCHEDULES, ScheduleDesign

LR = 0.5


def make_schedule(text: str, steps: int, **options: int) -> Schedule:
    return Schedule(ScheduleDesign.parse(text), steps, **options)


def list_rates(schedule: Schedule) -> list[float]:
    """List the learning rates of all steps."""
    optimizer, rates = build_sgd(initial_lr=LR), []
    for step in range(schedule.steps):
        schedule.prepare(optimizer, step)
        rates.append(float(optimizer.param_groups[0]["lr"]))
    return rates


def build_sgd(**options: float) -> Optimizer:
    return torch.optim.SGD([{"params": [nn.Parameter(torch.ones(1))], **options}], lr=LR)


def list_torch_rates(optimizer: Optimizer, scheduler: LRScheduler, steps: int, every: int = 1) -> list[float]:
    """List torch's learning rates of all steps; the scheduler is called after each ``every`` steps."""
    rates = []
    for step in range(steps):
        rates.append(float(optimizer.param_groups[0]["lr"]))
        optimizer.step()
        if (step + 1) % every == 0:
            scheduler.step()
    return rates


def test_every_kind_has_a_schedule() -> None:
    assert {*FACTORS, "step"} == set(SCHEDULES)


@given(steps=st.integers(1, 200))
@settings(max_examples=25, deadline=None)
def test_constant_is_constant(steps: int) -> None:
    optimizer = build_sgd()
    scheduler = LambdaLR(optimizer, lambda _step: 1.0)
    assert list_rates(make_schedule("constant", steps)) == list_torch_rates(optimizer, scheduler, steps)


@given(steps=st.integers(1, 200))
@settings(max_examples=25, deadline=None)
def test_cosine_equals_torchs_cosine_annealing_at_every_step(steps: int) -> None:
    optimizer = build_sgd()
    expected = list_torch_rates(optimizer, CosineAnnealingLR(optimizer, T_max=steps), steps)
    assert list_rates(make_schedule("cosine", steps)) == pytest.approx(expected, rel=1e-6, abs=1e-9)


@given(
    size=st.integers(1, 9), gamma=st.sampled_from([0.1, 0.5, 0.9]), epochs=st.integers(1, 30), steps=st.integers(1, 5)
)
@settings(max_examples=50, deadline=None)
def test_step_equals_torchs_step_lr_at_every_step(size: int, gamma: float, epochs: int, steps: int) -> None:
    optimizer = build_sgd()
    scheduler = StepLR(optimizer, step_size=size, gamma=gamma)
    expected = list_torch_rates(optimizer, scheduler, epochs * steps, every=steps)
    schedule = make_schedule(f"step:{size},{gamma}", epochs * steps, epoch_steps=steps)
    assert list_rates(schedule) == pytest.approx(expected, rel=1e-9)


def test_the_tutorials_schedule_drops_at_epochs_7_14_and_21_of_25() -> None:
    rates = list_rates(make_schedule("step", 25 * 61, epoch_steps=61))
    assert [epoch for epoch in range(1, 25) if rates[epoch * 61] < 0.5 * rates[epoch * 61 - 1]] == [7, 14, 21]


@pytest.mark.parametrize(
    ("size", "options", "problem"),
    [
        (4, {}, None),
        (5, {}, "the learning rate never drops: it would after 5 epochs, but the run has 5 epochs"),
        (7, {}, "the learning rate never drops: it would after 7 epochs, but the run has 5 epochs"),
        (3, {"warmup": 3}, None),
        (
            4,
            {"warmup": 3},
            "the learning rate never drops: it would after 4 epochs and a warmup of 1.5, but the run has 5 epochs",
        ),
        (
            9,
            {"warmup": 10},
            "the learning rate never drops: it would after 9 epochs and a warmup of 5, but the run has 5 epochs",
        ),
    ],
)
def test_a_step_schedule_that_never_drops_has_a_problem(size: int, options: dict[str, int], problem: str) -> None:
    schedule = make_schedule(f"step:{size}", 10, epoch_steps=2, **options)
    assert schedule.find_problem() == problem
    after_warmup = list_rates(schedule)[schedule.warmup :]
    assert (len(set(after_warmup)) > 1) is (problem is None)


def test_other_schedules_have_no_problem() -> None:
    assert [make_schedule(kind, 1).find_problem() for kind in SCHEDULES if kind != "step"] == [None] * 4


def test_each_group_uses_a_fraction_of_its_own_initial_lr() -> None:
    groups = [{"params": [nn.Parameter(torch.ones(1))], "initial_lr": lr} for lr in (1.0, 0.1)]
    optimizer = torch.optim.SGD(groups, lr=7.0)
    make_schedule("cosine", 4).prepare(optimizer, 2)
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
    with_warmup = make_schedule(name, 10 + warmup, warmup=warmup, epoch_steps=1)
    plain = make_schedule(after, 10, epoch_steps=1)
    rising = [with_warmup.factor(step) for step in range(warmup)]
    assert rising == [(step + 1) / (warmup + 1) for step in range(warmup)]
    assert [with_warmup.factor(step + warmup) for step in range(10)] == [plain.factor(step) for step in range(10)]


def test_a_run_may_end_during_warmup() -> None:
    assert [make_schedule("cosine", 3, warmup=3).factor(step) for step in range(3)] == [0.25, 0.5, 0.75]


@pytest.mark.parametrize(
    ("accuracies", "drops"),
    [
        ([], 0), ([0.5], 0), ([0.5, 0.5], 0), ([0.5, 0.5, 0.4], 1), ([0.5, 0.4, 0.6, 0.5, 0.6], 1),
        ([0.5, 0.4, 0.6, 0.7], 0), ([0.5, 0.1, 0.1, 0.1, 0.1], 2), ([0.5, 0.1, 0.1, 0.6, 0.1, 0.1], 2),
    ],
)  # fmt: skip
def test_the_learning_rate_drops_after_two_epochs_without_improvement(accuracies: list[float], drops: int) -> None:
    assert count_drops([(accuracy, 0.0) for accuracy in accuracies]) == drops
    assert make_schedule("plateau", 10, drops=drops).factor(4) == pytest.approx(DROP**drops)
