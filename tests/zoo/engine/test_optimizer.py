from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from zoo.engine.optimizer import LOWEST, build_optimizer, build_schedule, share_of_highest
from zoo.plugin import BackboneSpec
from zoo.recipe import OPTIMIZERS, SCHEDULES

LR = 0.5


def list_rates(schedule: str, optimizer: str, steps: int) -> list[float]:
    """List the rates with which each of the steps is taken."""
    parameter = nn.Parameter(torch.ones(2, 2))
    moves = build_optimizer(optimizer, [parameter], LR, 0.01)
    plan = build_schedule(schedule, moves, steps)
    rates = []
    for _ in range(steps):
        rates.append(float(moves.param_groups[0]["lr"]))
        parameter.grad = torch.ones(2, 2)
        moves.step()
        plan.step()
    return rates


def expect_last(schedule: str, steps: int) -> float:
    """Tell the rate of the last step from the definition of the schedule."""
    return {
        "constant": LR,
        "step": LR * 0.1 ** ((steps - 1) // math.ceil(steps / 3)),
        "cosine": LR * (1 + math.cos(math.pi * (steps - 1) / steps)) / 2,
    }[schedule]


@pytest.mark.parametrize("schedule", [name for name in SCHEDULES if name != "onecycle"])
@given(steps=st.integers(1, 200), optimizer=st.sampled_from(OPTIMIZERS))
@settings(max_examples=25, deadline=None)
def test_any_number_of_steps_ends_at_the_rate_of_the_definition(schedule: str, steps: int, optimizer: str) -> None:
    rates = list_rates(schedule, optimizer, steps)
    assert rates[-1] == pytest.approx(expect_last(schedule, steps), rel=1e-6, abs=1e-9)
    assert rates[0] == pytest.approx(LR)
    assert rates == sorted(rates, reverse=True)


@given(steps=st.integers(1, 200), optimizer=st.sampled_from(OPTIMIZERS))
@settings(max_examples=25, deadline=None)
def test_onecycle_takes_each_step_at_its_share_of_the_rate(steps: int, optimizer: str) -> None:
    rates = list_rates("onecycle", optimizer, steps)
    assert rates == pytest.approx([LR * share_of_highest(step, steps) for step in range(steps)])


@given(steps=st.integers(1, 5000))
@settings(max_examples=50, deadline=None)
def test_onecycle_rises_for_a_quarter_to_the_highest_rate_and_then_falls(steps: int) -> None:
    shares = [share_of_highest(step, steps) for step in range(steps)]
    top = shares.index(max(shares))
    assert shares[top] == pytest.approx(1)
    assert abs(top + 1 - max(1, steps / 4)) <= 0.5
    assert shares == sorted(shares[:top]) + sorted(shares[top:], reverse=True)
    assert min(shares) > 0


@pytest.mark.parametrize("steps", [100, 1000, 100_000])
def test_onecycle_begins_low_and_ends_next_to_zero(steps: int) -> None:
    assert share_of_highest(0, steps) == pytest.approx(LOWEST, abs=1e-2)
    assert 0 < share_of_highest(steps - 1, steps) < 1e-3
    assert share_of_highest(steps, steps) == pytest.approx(0)  # which no step is taken at


@pytest.mark.parametrize(
    ("steps", "shares"), [(1, [1]), (2, [1, 0.5]), (3, [1, 0.75, 0.25]), (4, [1, 0.853553, 0.5, 0.146447])]
)
def test_onecycle_over_few_steps_begins_at_the_highest_rate(steps: int, shares: list[float]) -> None:
    assert [share_of_highest(step, steps) for step in range(steps)] == pytest.approx(shares, rel=1e-5)


def test_biases_and_norms_do_not_decay_and_frozen_ones_are_left_out(acme: BackboneSpec) -> None:
    model = acme.build(None)
    model.get_submodule("stem").requires_grad_(False)
    groups = build_optimizer("adamw", model.parameters(), LR, 0.03).param_groups
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    decay = {names[id(p)]: group["weight_decay"] for group in groups for p in group["params"]}
    convolutions = {"layer1.0.weight", "layer2.0.weight", "classifier.0.weight", "classifier.3.weight"}
    assert {name for name, value in decay.items() if value == 0.03} == convolutions
    assert {name for name, value in decay.items() if value == 0.0} == {
        *("layer1.0.bias", "layer1.1.weight", "layer1.1.bias", "layer2.0.bias", "layer2.1.weight", "layer2.1.bias"),
        *("classifier.0.bias", "classifier.3.bias"),
    }


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("shape", [(2, 2), (2,)])
def test_parameters_of_one_kind_alone_are_enough(name: str, shape: tuple[int, ...]) -> None:
    parameter = nn.Parameter(torch.ones(shape))
    optimizer = build_optimizer(name, [parameter], LR, 0.01)
    parameter.grad = torch.ones(shape)
    optimizer.step()
    assert len(optimizer.param_groups) == 1
    assert (parameter < 1).all()


@pytest.mark.parametrize(
    ("name", "plain"),
    [
        ("sgd", lambda groups: torch.optim.SGD(groups, lr=0.1, momentum=0.9)),
        ("adam", lambda groups: torch.optim.Adam(groups, lr=0.1)),
        ("adamw", lambda groups: torch.optim.AdamW(groups, lr=0.1)),
    ],
)
def test_a_name_means_torchs_optimizer_also_on_channels_last_weights(name: str, plain: object) -> None:
    assert callable(plain)
    torch.manual_seed(0)
    ours = nn.Conv2d(3, 4, 3)
    theirs = nn.Conv2d(3, 4, 3)
    theirs.load_state_dict(ours.state_dict())
    ours.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = build_optimizer(name, ours.parameters(), 0.1, 0.2)
    wanted = plain([
        {"params": [theirs.weight], "weight_decay": 0.2}, {"params": [theirs.bias], "weight_decay": 0.0}
    ])  # fmt: skip
    for _ in range(3):
        images = torch.randn(2, 3, 6, 6)
        for model, moves in ((ours, optimizer), (theirs, wanted)):
            moves.zero_grad()
            model(images).square().mean().backward()
            moves.step()
    torch.testing.assert_close(ours.weight.contiguous(), theirs.weight)
    torch.testing.assert_close(ours.bias, theirs.bias)


@pytest.mark.parametrize("name", ["rmsprop", "SGD", ""])
def test_a_name_that_no_recipe_lets_through_is_no_optimizer(name: str) -> None:
    with pytest.raises(KeyError):
        build_optimizer(name, [nn.Parameter(torch.ones(1))], LR, 0.0)
