"""Preprocessing that the user chooses."""

from __future__ import annotations

from typing import Any

import pytest

from zoo.errors import OptionError
from zoo.plugin import InputSpec
from zoo.registry.preprocessing import Preprocessing
from zoo.registry.recipe import make_recipe

SPEC = InputSpec(size=(3, 224, 224), resize=256, min_size=32)


def apply(**options: Any) -> InputSpec:
    return make_recipe(options).preprocessing.apply(SPEC)


def test_without_options_nothing_changes() -> None:
    assert apply() == SPEC
    assert Preprocessing().list_changes(SPEC) == []


def test_the_margin_around_the_crop_stays_in_proportion() -> None:
    assert apply(image_size=112) == InputSpec(size=(3, 112, 112), resize=128, min_size=32)


@pytest.mark.parametrize(("resize", "crop"), [("pad", "border"), ("squash", "squash")])
def test_padded_and_squashed_images_are_used_whole(resize: str, crop: Any) -> None:
    assert apply(resize=resize) == InputSpec(size=(3, 224, 224), resize=224, crop=crop, min_size=32)


@pytest.mark.parametrize("value", ["0.5", 0.5, "0.5,0.5,0.5", [0.5, 0.5, 0.5], (0.5, 0.5, 0.5)])
def test_mean_and_std_may_be_numbers_lists_or_text(value: Any) -> None:
    spec = apply(mean=value, std=value)
    assert (spec.mean, spec.std) == ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))


@pytest.mark.parametrize(("mean", "std"), [(0, 1), (1, 1), (0.5, 0.5), ("0.485,0.456,0.406", 1 / 255)])
def test_mean_and_std_of_pixels_from_0_to_1_are_accepted(mean: Any, std: Any) -> None:
    spec = apply(mean=mean, std=std)
    assert spec.std[0] == float(std)
    assert spec.mean[0] == float(str(mean).split(",", maxsplit=1)[0])


def test_changes_are_described() -> None:
    chosen = make_recipe({"image_size": 96, "resize": "squash", "std": 1}).preprocessing
    assert chosen.list_changes(SPEC) == [
        "size 96x96 instead of 224x224",
        "crop squash instead of center",
        "std (1.0, 1.0, 1.0) instead of (0.229, 0.224, 0.225)",
    ]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"resize": "stretch"}, "unknown resize 'stretch'"),
        ({"image_size": 0}, "image_size must be at least 1"),
        ({"image_size": 16}, "`image_size` must be at least 32 for this backbone, got 16"),
        ({"image_size": 10**6}, "image_size must be at most 4096"),
        ({"mean": "0.5,0.5"}, "`mean` has 2 numbers, but the input has 3 channels"),
        ({"mean": "half"}, "`mean` must be numbers"),
        ({"std": "0"}, "`std` must be numbers from 0"),
        ({"std": "nan"}, "`std` must be numbers from 0"),
        ({"mean": "inf"}, "`mean` must be numbers"),
        ({"mean": [[1]]}, "`mean` must be numbers"),
        ({"mean": "-1,0,0"}, r"`mean` must be numbers from 0 to 1.*, got '-1,0,0'\.$"),
        ({"mean": "123,116,103"}, r"got '123,116,103'; for values from 0 to 255, divide by 255\.$"),
        ({"std": "58,57,57"}, r"from 0\.00001 to 1.*, got '58,57,57'; for values from 0 to 255, divide by 255\.$"),
        ({"std": "0.5,0.5,1.5"}, "`std` must be numbers from 0.00001 to 1"),
        ({"std": "1e-45,1,1"}, "`std` must be numbers from 0.00001 to 1"),
        ({"mean": "1000"}, r"got '1000'\.$"),
    ],
)
def test_invalid_values_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        apply(**options)


def test_the_mean_and_std_follow_the_channels() -> None:
    assert apply(channels=1).mean == (0.449,)
    assert apply(channels=5).mean == (0.485, 0.456, 0.406, 0.485, 0.456)
    assert apply(channels=5, mean="0.5").mean == (0.5,) * 5
    assert apply(channels=2, std="0.1,0.2").std == (0.1, 0.2)
    assert apply(channels=1).size == (1, 224, 224)


def test_a_change_of_the_channels_is_one_note() -> None:
    spec = InputSpec()
    assert make_recipe({"channels": 1}).preprocessing.list_changes(spec) == ["channels 1 instead of 3"]


def test_as_many_numbers_as_channels_are_needed() -> None:
    with pytest.raises(OptionError, match="`mean` has 3 numbers, but the input has 1 channels"):
        apply(channels=1, mean="0.1,0.2,0.3")
