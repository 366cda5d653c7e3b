from __future__ import annotations

import dataclasses
import inspect
import pydoc
from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest

import zoo
from zoo.errors import OptionError
from zoo.registry.finetune_options import FinetuneOptions
from zoo.registry.recipe import Recipe

HINTS = get_type_hints(FinetuneOptions, include_extras=True)
NUMBERS = str | float | Sequence[float]
#: Options that `zoo.finetune` accepts in more forms than the one that a recipe keeps.
WIDER = {
    "weights": str | PathLike[str] | None,
    **dict.fromkeys(("mean", "std", "split", "betas"), NUMBERS | None),
}


def test_the_options_are_the_fields_of_a_recipe_in_the_same_order() -> None:
    assert list(HINTS) == [field.name for field in dataclasses.fields(Recipe)]


@pytest.mark.parametrize("name", HINTS)
def test_an_option_has_the_type_of_the_field(name: str) -> None:
    found = get_type_hints(FinetuneOptions)[name]
    expected = get_type_hints(Recipe)[name]
    assert found == WIDER.get(name, expected)
    assert set(get_args(expected) or (expected,)) <= set(get_args(found) or (found,))


@pytest.mark.parametrize("function", [zoo.finetune, zoo.find_lr])
def test_functions_that_train_accept_these_options(function: Any) -> None:
    assert inspect.signature(function).parameters["options"].annotation == "Unpack[FinetuneOptions]"


def test_the_help_of_finetune_has_a_line_about_every_option() -> None:
    page = pydoc.plain(pydoc.render_doc(zoo.finetune))
    for name, hint in HINTS.items():
        assert f"    {name} (" in page
        (line,) = hint.__metadata__
        assert f"): {line}\n" in page
        assert line.endswith(".")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"epoch": 3}, "no option 'epoch'; did you mean epochs? The options are weights, "),
        ({"shedule": "step"}, "no option 'shedule'; did you mean schedule? The options are weights, "),
        ({"learning_rate": 3}, "no option 'learning_rate'; the options are weights, "),
        ({"lr": "fast"}, "lr must be a number between 0 and 100, got 'fast'."),
        ({"epochs": "3"}, "epochs must be a whole number, got '3'."),
        ({"nesterov": 1}, "nesterov must be true or false, got 1."),
        ({"columns": {"image": "path"}}, "columns must be a string, got {'image': 'path'}."),
        ({"output": 3}, "`output` must be a path, got 3."),
        ({"recipe": {"epochs": 3}}, "`recipe` must be the name of a recipe in registry.toml, got {'epochs': 3}."),
        ({"backbone": None}, "`backbone` must be the name of a backbone, FILE.py:FUNCTION or a torch.nn.Module, got"),
    ],
)
def test_a_mistake_in_a_call_is_one_line(tmp_path: Path, options: dict[str, Any], message: str) -> None:
    arguments = {"backbone": "tiny", "data": tmp_path, **options}
    with pytest.raises(OptionError) as caught:
        zoo.finetune(**arguments)
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)
