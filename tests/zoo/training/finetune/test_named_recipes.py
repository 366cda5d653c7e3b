"""Recipes in registry.toml."""

from __future__ import annotations

from pathlib import Path

import pytest

from acme import make_acme
from quick_runs import QUICK
from recording_progress import RecordingProgress
from zoo.errors import NameNotFound, OptionError
from zoo.registry.plugins.load import Plugin
from zoo.registry.registry import Registry
from zoo.registry.registry_toml import NamedRecipe, RegistryToml
from zoo.training.finetune import finetune


@pytest.fixture
def registry() -> Registry:
    recipes = {
        "slow": NamedRecipe("50% at best", {"lr": 0.001, "seed": 7, "optimizer": "sgd"}),
        "odd": NamedRecipe("", {"shade": "red"}),
    }
    return Registry([Plugin("acme", "zoo-acme", "1.0", backbones=(make_acme(),))], RegistryToml(recipes=recipes))


def test_options_of_a_recipe_are_used_and_reported_unless_overridden(
    registry: Registry, photos: Path, output: Path
) -> None:
    progress, options = RecordingProgress(), {**QUICK, "seed": 3}
    run = finetune("net", photos, output=output, recipe="slow", registry=registry, progress=progress, **options)
    recipe = run.facts["recipe"]
    assert (recipe["lr"], recipe["seed"], recipe["optimizer"]) == (QUICK["lr"], 3, "sgd")
    assert progress.lines[:2] == ["recipe slow: lr 0.001, seed 7, optimizer sgd", "expected: 50% at best"]


def test_the_error_for_an_unknown_recipe_lists_the_recipes(registry: Registry, photos: Path) -> None:
    with pytest.raises(NameNotFound, match=r"no recipe 'slaw'; available: odd, slow\."):
        finetune("net", photos, recipe="slaw", registry=registry, **QUICK)


def test_an_unknown_option_in_a_recipe_is_refused(registry: Registry, photos: Path) -> None:
    with pytest.raises(OptionError, match="no option 'shade'"):
        finetune("net", photos, recipe="odd", registry=registry, **QUICK)
