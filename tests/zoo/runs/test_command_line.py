"""The command in a report repeats the run: it sets all options that differ from their defaults."""

from __future__ import annotations

import dataclasses
import shlex
from typing import Any

import pytest

from zoo.cli.finetune import command as finetune
from zoo.cli.options import gather_options
from zoo.registry.recipe import Recipe, make_recipe
from zoo.runs.command_line import FLAGS, build_command


def facts_of(recipe: Recipe, **data: Any) -> dict[str, Any]:
    return {
        "backbone": "acme/net",
        "weights": {"label": "V1"},
        "recipe": {**dataclasses.asdict(recipe), **recipe.list_decided()},
        "data": {"asked": "my photos", **data},
        "hardware": {"processes": 1},
    }


def parse(words: list[str]) -> Recipe:
    """Return the recipe that ``zoo finetune`` would use."""
    # click keeps the help option of the first context.
    context = finetune.make_context("finetune", words, help_option_names=["-h", "--help"])
    names = {field.name for field in dataclasses.fields(Recipe)}
    flags = {name: value for name, value in context.params.items() if name in names}
    return make_recipe(gather_options(None, context.params["assignments"], flags))


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"train": "all", "lr": 1e-4, "epochs": 7, "views": 2},
        {"train": "head", "views": 3, "erase": 0.25, "seed": 5},
        {"mixup": 0.2, "cache": False, "label_from": "(cat|dog)", "split": "0.6,0.2,0.2", "image_size": 96},
        {"optimizer": "sgd", "lr": 0.001, "momentum": 0.8, "nesterov": True, "schedule": "step:7,0.1", "epochs": 25},
        {"optimizer": "adam", "betas": [0.8, 0.99], "eps": 1e-6, "schedule": "step"},
        {"optimizer": "sgd", "momentum": 0.9, "schedule": "step:30,0.5"},
        {"augment": "none", "train": "from:layer4", "workers": 0, "weight_decay": 0.1, "compile": True},
    ],
)
def test_the_command_has_the_same_recipe(options: dict[str, Any]) -> None:
    recipe = make_recipe(options)
    command = build_command(facts_of(recipe))
    assert command
    words = shlex.split(command)
    assert words[:5] == ["zoo", "finetune", "acme/net@V1", "--data", "my photos"]
    assert facts_of(parse(words[2:])) == facts_of(recipe)


def test_the_default_run_is_one_short_command() -> None:
    assert build_command(facts_of(Recipe())) == "zoo finetune acme/net@V1 --data 'my photos'"


def test_weights_from_a_file_are_named() -> None:
    command = build_command(facts_of(make_recipe({"weights": "my file.safetensors"})))
    assert command == "zoo finetune acme/net --data 'my photos' --weights 'my file.safetensors'"


def test_a_python_object_has_no_command() -> None:
    assert build_command(facts_of(Recipe(), is_object=True)) is None


def test_a_run_of_ones_own_network_has_no_command() -> None:
    assert build_command({**facts_of(Recipe()), "network": {"file": "net.py"}}) is None


def test_an_unknown_option_has_no_command() -> None:
    facts = facts_of(Recipe())
    facts["recipe"]["later"] = 1
    assert build_command(facts) is None


def test_the_step_schedule_of_earlier_versions_has_no_command() -> None:
    facts = facts_of(Recipe())
    facts["recipe"]["schedule"] = "step"
    assert build_command(facts) is None


def test_a_run_without_the_options_of_this_version_has_a_command() -> None:
    facts = facts_of(make_recipe({"optimizer": "sgd"}))
    for name in ("momentum", "nesterov", "betas", "eps"):
        del facts["recipe"][name]
    assert build_command(facts) == "zoo finetune acme/net@V1 --data 'my photos' --optimizer sgd"


def test_flags_are_options_of_the_command() -> None:
    assert set(FLAGS) <= {param.name for param in finetune.params}
