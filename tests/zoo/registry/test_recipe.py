from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zoo.errors import OptionError
from zoo.files.limits import MAX_CHANNELS, MAX_SIDE, MAX_WORKERS
from zoo.registry.head_design import HeadDesign
from zoo.registry.optimizer_design import BACKBONE_LR, DECAY, HEAD_LR, MLP_LR, OPTIMIZERS
from zoo.registry.recipe import Recipe, make_recipe

FIELDS = [field.name for field in dataclasses.fields(Recipe)]
CHOICES, COUNTS, NUMBERS = (
    {field.name: field.metadata[limit] for field in dataclasses.fields(Recipe) if limit in field.metadata}
    for limit in ("choices", "least", "most")
)

#: Options without which another one has no effect.
NEEDED: dict[str, dict[str, Any]] = {"erase": {"augment": "crop-flip"}, "momentum": {"optimizer": "sgd"}}


def refuse(**options: Any) -> str:
    with pytest.raises(OptionError) as caught:
        make_recipe(options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def attempt(function: Callable[[Any], Any], argument: Any) -> Any:
    """Return the result, or the OptionError that is raised instead."""
    try:
        return function(argument)
    except OptionError as error:
        return error


def test_a_recipe_without_options_has_the_defaults() -> None:
    assert make_recipe({}) == Recipe()
    assert (Recipe().train, Recipe().head, Recipe().weights) == ("head", "linear", None)


@pytest.mark.parametrize("field", NUMBERS)
def test_a_whole_number_is_stored_as_a_float_where_fractions_are_allowed(field: str) -> None:
    value = getattr(make_recipe({field: 1 if NUMBERS[field] >= 1 else 0, **NEEDED.get(field, {})}), field)
    assert type(value) is float


@pytest.mark.parametrize("workers", [257, 1_000_000])
def test_more_threads_than_any_machine_needs_are_refused(workers: int) -> None:
    assert refuse(workers=workers) == f"workers must be at most 256, got {workers}."


def test_an_unknown_option_is_refused_with_a_list_of_all_options() -> None:
    message = refuse(epoch=3)
    assert message.startswith("no option 'epoch'; did you mean epochs? The options are weights, head, ")
    for name in FIELDS:
        assert name in message


@pytest.mark.parametrize("field", CHOICES)
def test_an_unknown_choice_is_refused_with_a_list_of_the_choices(field: str) -> None:
    message = refuse(**{field: "wrong"})
    assert f"unknown {field} 'wrong'" in message
    for choice in CHOICES[field]:
        assert choice in message


@pytest.mark.parametrize(("field", "choice"), [(field, choice) for field in CHOICES for choice in CHOICES[field]])
def test_every_choice_is_accepted(field: str, choice: str) -> None:
    assert getattr(make_recipe({field: choice}), field) == choice


@pytest.mark.parametrize("field", CHOICES)
def test_the_default_is_a_choice(field: str) -> None:
    recipe = Recipe()
    default = {**dataclasses.asdict(recipe), **recipe.list_decided()}[field]
    assert default in CHOICES[field] or (field == "resize" and default is None)  # None means as the weights expect


@pytest.mark.parametrize(("field", "least"), [*COUNTS.items()])
def test_a_count_is_an_integer_that_torch_accepts(field: str, least: int) -> None:
    most = {"workers": MAX_WORKERS, "image_size": MAX_SIDE, "channels": MAX_CHANNELS}
    for right in (least, most.get(field, 2**63 - 1)):
        assert getattr(make_recipe({field: right}), field) == right
    for wrong in (least - 1, 2**63, 2**64, 1.0, "2", True, [1]):
        message = refuse(**{field: wrong})
        assert message.startswith(f"{field} must be ")
        assert message.endswith(f"got {wrong!r}.")
    assert refuse(**{field: least - 1}) == f"{field} must be at least {least}, got {least - 1}."


@pytest.mark.parametrize("field", ["epochs", "batch_size", "seed"])
def test_a_required_count_cannot_be_none(field: str) -> None:
    assert refuse(**{field: None}).endswith("got None.")


@pytest.mark.parametrize(
    "field",
    ["patience", "workers", "lr", "weight_decay", "weights", "views", "save_every", "clip_norm", "momentum", "betas",
     "eps"],
)  # fmt: skip
def test_options_that_zoo_can_choose_can_be_none(field: str) -> None:
    assert getattr(make_recipe({field: None}), field) is None


@pytest.mark.parametrize(("field", "most"), [*NUMBERS.items()])
def test_a_number_must_be_in_its_range(field: str, most: float) -> None:
    for right in (most / 2, most) if field in ("clip_norm", "eps") else (0, 0.0, most / 2, most):
        assert getattr(make_recipe({field: right, **NEEDED.get(field, {})}), field) == right
    for wrong in (-0.001, most + 0.001, math.nan, math.inf, "0.1", True, [0.1]):
        assert refuse(**{field: wrong}) == f"{field} must be a number between 0 and {most:g}, got {wrong!r}."


@pytest.mark.parametrize("field", [*NUMBERS])
def test_a_number_must_be_0_or_large_enough_for_fp32(field: str) -> None:
    assert getattr(make_recipe({field: 1e-12, **NEEDED.get(field, {})}), field) == 1e-12
    for wrong in (5e-324, 1e-320, 1e-45, 9.9e-13):
        assert refuse(**{field: wrong}) == f"{field} must be 0 or at least 1e-12, got {wrong!r}."


def test_a_required_number_cannot_be_none() -> None:
    assert refuse(label_smoothing=None).endswith("got None.")


def test_every_field_has_a_default() -> None:
    assert all(field.default is not dataclasses.MISSING for field in dataclasses.fields(Recipe))


def test_a_recipe_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        Recipe().epochs = 3  # type: ignore[misc]


# Learning rates.


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_a_new_head_has_a_higher_learning_rate_than_a_pretrained_network(optimizer: str) -> None:
    head = Recipe(optimizer=optimizer).learning_rate
    network = Recipe(optimizer=optimizer, train="all").learning_rate
    assert (head, network) == (HEAD_LR[optimizer], BACKBONE_LR[optimizer])
    assert head > network > 0


def test_training_from_a_block_uses_the_learning_rate_of_the_network() -> None:
    assert Recipe(train="from:layer4").learning_rate == Recipe(train="all").learning_rate


def test_an_mlp_head_has_a_lower_learning_rate_than_a_linear_one() -> None:
    assert Recipe(head="mlp:8").learning_rate == MLP_LR["adamw"] < Recipe().learning_rate
    assert Recipe(head="mlp:8", train="all").learning_rate == Recipe(train="all").learning_rate


def test_weights_can_be_a_path_but_not_empty(tmp_path: Path) -> None:
    assert make_recipe({"weights": tmp_path / "a.safetensors"}).weights == str(tmp_path / "a.safetensors")
    assert "weights is empty" in refuse(weights="")


@pytest.mark.parametrize("train", ["head-then-all", "gradual"])
def test_a_run_with_phases_begins_with_the_learning_rate_of_a_head(train: str) -> None:
    assert Recipe(train=train).learning_rate == Recipe().learning_rate


def test_erase_implies_augmentation() -> None:
    assert Recipe(erase=0.5).augmentation == "crop-flip"
    assert "`erase` needs augmentation" in refuse(erase=0.5, augment="none")


@pytest.mark.parametrize("train", ["head", "all", "from:layer4"])
def test_an_explicit_learning_rate_is_used(train: str) -> None:
    assert Recipe(train=train, lr=0.125).learning_rate == 0.125
    assert Recipe(train=train, lr=0).learning_rate == 0


# Weight decay.


@pytest.mark.parametrize(("optimizer", "decay"), [("adamw", 0.01), ("adam", 0.0), ("sgd", 1e-4)])
def test_the_weight_decay_depends_on_the_optimizer_unless_it_is_given(optimizer: str, decay: float) -> None:
    assert Recipe(optimizer=optimizer).decay == DECAY[optimizer] == decay
    assert Recipe(optimizer=optimizer, weight_decay=0.125).decay == 0.125
    assert Recipe(optimizer=optimizer, weight_decay=0).decay == 0


# Heads.


@pytest.mark.parametrize(("text", "widths"), [("linear", ()), ("mlp:64", (64,)), ("mlp:4096,4096", (4096, 4096))])
def test_a_head_is_parsed(text: str, widths: tuple[int, ...]) -> None:
    assert HeadDesign.parse(text).widths == widths


@pytest.mark.parametrize(
    "text",
    ["", "Linear", "linear:", "linear:3", "mlp", "mlp:", "mlp:,", "mlp:64,", "mlp:0", "mlp:-1", "mlp:1.5", "mlp: 64",
     "mlp:10000000", f"mlp:{'9' * 5000}", "mlp:1_0", "mlp:+1", "mlp:٣", "mlp:²", "mlp:64:64", "conv:64"],
)  # fmt: skip
def test_an_invalid_head_is_refused_with_the_valid_forms(text: str) -> None:
    with pytest.raises(OptionError) as caught:
        HeadDesign.parse(text)
    assert f"invalid `head` {text!r}" in str(caught.value)
    assert "linear" in str(caught.value)
    assert "mlp:W,W" in str(caught.value)
    refuse(head=text)


@given(st.lists(st.integers(min_value=1, max_value=9_999_999), max_size=5))
@settings(deadline=None)
def test_a_printed_head_is_parsed_back(widths: list[int]) -> None:
    design = HeadDesign(tuple(widths))
    assert HeadDesign.parse(str(design)) == design


@given(st.text(max_size=12) | st.text("mlp:linear,0123456789", max_size=12) | st.from_regex(r"mlp:[0-9,]*"))
@settings(deadline=None)
def test_any_text_is_a_head_or_refused(text: str) -> None:
    design = attempt(HeadDesign.parse, text)
    if isinstance(design, OptionError):
        assert repr(text) in str(design)
    else:
        assert HeadDesign.parse(str(design)) == design
        assert text == "linear" or text.startswith("mlp:")
        assert all(width > 0 for width in design.widths)


# Arbitrary values.

ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=2), inner, max_size=2),
    max_leaves=4,
)


@given(field=st.sampled_from([field for field in FIELDS if field not in ("head", "train", "weights")]), value=ANYTHING)
@settings(deadline=None)
def test_any_value_from_a_file_is_kept_or_refused_with_the_name_of_the_option(field: str, value: Any) -> None:
    recipe = attempt(make_recipe, {field: value})
    if isinstance(recipe, OptionError):
        assert field in str(recipe)
    else:
        # Numbers and lists of numbers are kept as text.
        assert getattr(recipe, field) == value or (
            field in ("mean", "std", "split", "betas") and not isinstance(value, str)
        )
        assert recipe.learning_rate >= 0
        assert recipe.decay >= 0


@pytest.mark.parametrize("field", ["head", "train", "weights"])
@pytest.mark.parametrize("value", [3, ["head"], True], ids=str)
def test_a_value_that_is_not_a_string_is_refused(field: str, value: Any) -> None:
    assert field in refuse(**{field: value})


@pytest.mark.parametrize("value", ["", "everything", "from:", "from", "Head", "all ", "from:\nstem"])
def test_an_invalid_train_scope_is_refused_before_anything_is_built(value: str) -> None:
    message = refuse(train=value)
    if value:
        assert f"invalid `train` {value!r}; choose from head, all, head-then-all, gradual, or from:BLOCK" in message
    else:
        assert message == "train is empty; omit it or set it to a value."


@pytest.mark.parametrize("value", ["head", "all", "from:layer4", "from:blocks.11"])
def test_a_valid_train_scope_is_accepted(value: str) -> None:
    assert make_recipe({"train": value}).train == value


@pytest.mark.parametrize(
    ("options", "augmentation", "views"),
    [
        ({}, "none", 1),
        ({"train": "all"}, "crop-flip", 0),
        ({"train": "from:layer4"}, "crop-flip", 0),
        ({"train": "all", "views": 3}, "crop-flip", 3),
        ({"augment": "crop-flip"}, "crop-flip", 4),
        ({"views": 2}, "crop-flip", 2),
        ({"views": 0}, "crop-flip", 0),
        ({"views": 0, "augment": "none"}, "none", 1),
        ({"train": "all", "augment": "none"}, "none", 1),
    ],
)
def test_augmentation_depends_on_the_trainable_part(options: dict[str, Any], augmentation: str, views: int) -> None:
    recipe = Recipe(**options)
    assert (recipe.augmentation, recipe.num_views) == (augmentation, views)


def test_identical_views_are_refused() -> None:
    with pytest.raises(OptionError, match="without augmentation, all 3 views are the same"):
        Recipe(views=3, augment="none")


@pytest.mark.parametrize("options", [{"views": -1}, {"views": 1.5}, {"cache": "no"}])
def test_views_is_a_count_and_cache_is_a_switch(options: dict[str, Any]) -> None:
    with pytest.raises(OptionError, match=next(iter(options))):
        Recipe(**options)


def test_a_head_has_at_most_32_hidden_layers() -> None:
    assert len(HeadDesign.parse("mlp:" + ",".join(["8"] * 32)).widths) == 32
    with pytest.raises(OptionError, match="`head` has more than 32 hidden layers"):
        HeadDesign.parse("mlp:" + ",".join(["8"] * 33))
