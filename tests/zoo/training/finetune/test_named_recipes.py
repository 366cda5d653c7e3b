"""Options under a name of registry.toml."""

from __future__ import annotations

from pathlib import Path

import pytest

from acme import make_acme
from quick_runs import QUICK
from told import Told
from zoo.errors import NameNotFound, OptionError
from zoo.registry.load_plugin import Plugin
from zoo.registry.registry import Registry
from zoo.registry.registry_toml import NamedRecipe, RegistryToml
from zoo.training.finetune import finetune


@pytest.fixture
def registry() -> Registry:
    recipes = {
        "slow": NamedRecipe("50 % at best", {"lr": 0.001, "seed": 7, "optimizer": "sgd"}),
        "odd": NamedRecipe("", {"colour": "red"}),
    }
    return Registry([Plugin("acme", "zoo-acme", "1.0", backbones=(make_acme(),))], RegistryToml(recipes=recipes))


def test_its_options_are_used_and_said_and_those_that_are_given_win(
    registry: Registry, photos: Path, output: Path
) -> None:
    told, options = Told(), {**QUICK, "seed": 3}
    run = finetune("net", photos, output=output, recipe="slow", registry=registry, progress=told, **options)
    recipe = run.facts["recipe"]
    assert (recipe["lr"], recipe["seed"], recipe["optimizer"]) == (QUICK["lr"], 3, "sgd")
    assert told.lines[:2] == ["recipe slow: lr 0.001, seed 7, optimizer sgd", "expected: 50 % at best"]


def test_a_name_that_there_is_not_is_refused_with_those_that_there_are(registry: Registry, photos: Path) -> None:
    with pytest.raises(NameNotFound, match=r"no recipe 'slaw'; available: odd, slow\."):
        finetune("net", photos, recipe="slaw", registry=registry, **QUICK)


def test_an_option_that_there_is_not_is_refused(registry: Registry, photos: Path) -> None:
    with pytest.raises(OptionError, match="no option 'colour'"):
        finetune("net", photos, recipe="odd", registry=registry, **QUICK)
