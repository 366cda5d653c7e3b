from __future__ import annotations

import inspect
from typing import Any

import pytest
import torch

from zoo.errors import OptionError
from zoo.registry.optimizer_design import OPTIMIZERS, OPTIONS, OptimizerDesign
from zoo.registry.recipe import Recipe, make_recipe

#: A valid value of each option that only some optimizers have.
VALUES = {"momentum": 0.5, "nesterov": True, "betas": "0.8,0.99", "eps": 0.125}


def refuse(**options: Any) -> str:
    with pytest.raises(OptionError) as caught:
        make_recipe(options)
    return str(caught.value)


def test_the_default_betas_and_eps_are_those_of_torch() -> None:
    for kind in (torch.optim.Adam, torch.optim.AdamW):
        parameters = inspect.signature(kind).parameters
        design = OptimizerDesign(kind.__name__.lower())
        assert (design.betas, design.eps) == (parameters["betas"].default, parameters["eps"].default)


def test_the_default_of_sgd_is_a_momentum_of_0_9() -> None:
    design = Recipe(optimizer="sgd").optimizer_design
    assert (design.momentum, design.nesterov) == (0.9, False)


@pytest.mark.parametrize(
    ("optimizer", "option"), [(name, option) for name in OPTIMIZERS for option in VALUES if option in OPTIONS[name]]
)
def test_an_option_of_the_optimizer_is_used(optimizer: str, option: str) -> None:
    design = make_recipe({"optimizer": optimizer, option: VALUES[option]}).optimizer_design
    assert getattr(design, option) == ((0.8, 0.99) if option == "betas" else VALUES[option])


@pytest.mark.parametrize(
    ("optimizer", "option"), [(name, option) for name in OPTIMIZERS for option in VALUES if option not in OPTIONS[name]]
)
def test_an_option_without_effect_is_refused(optimizer: str, option: str) -> None:
    own, other = ("`momentum` and `nesterov`", "adamw or adam") if optimizer == "sgd" else ("`betas` and `eps`", "sgd")
    assert refuse(optimizer=optimizer, **{option: VALUES[option]}) == (
        f"`{option}` has no effect with {optimizer}, which has {own}; leave it out, or set `optimizer` to {other}."
    )


@pytest.mark.parametrize("momentum", [0, 0.0])
def test_nesterov_needs_momentum(momentum: float) -> None:
    message = "`nesterov` needs momentum; set `momentum` above 0, or leave it out."
    assert refuse(optimizer="sgd", nesterov=True, momentum=momentum) == message
    assert make_recipe({"optimizer": "sgd", "nesterov": False, "momentum": momentum}).momentum == 0


@pytest.mark.parametrize("betas", ["0.9", "0.9,", "0.9,0.99,0.999", "0.9,1", "-0.1,0.9", "nan,0.9", "high", [0.9], 0.9])
def test_betas_are_two_numbers_below_1(betas: Any) -> None:
    message = refuse(betas=betas)
    assert message.startswith("`betas` must be two numbers, at least 0 and below 1, such as 0.9,0.999, got ")


@pytest.mark.parametrize("betas", [[0.9, 0.95], (0.9, 0.95), "0.9,0.95", "0.90, 0.950"])
def test_betas_are_text_or_a_sequence_and_are_recorded_as_text(betas: Any) -> None:
    recipe = make_recipe({"betas": betas})
    assert recipe.optimizer_design.betas == (0.9, 0.95)
    assert recipe.list_decided()["betas"] == "0.9,0.95"


def test_an_eps_of_0_is_refused() -> None:
    assert refuse(eps=0) == "eps must be above 0; with 0, a weight without a gradient would become NaN."


def test_run_json_has_the_values_in_use() -> None:
    names = ("momentum", "betas", "eps")
    adamw, sgd = (Recipe(optimizer=name).list_decided() for name in ("adamw", "sgd"))
    assert [adamw[name] for name in names] == [None, "0.9,0.999", 1e-8]
    assert [sgd[name] for name in names] == [0.9, None, None]
