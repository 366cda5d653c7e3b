"""The tensors of a model are found in whatever a training script saved beside them."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from weights_files import TENSORS, same
from zoo.errors import WeightsError
from zoo.models.weights.nested import KEYS, Found, find_tensors

OTHER = {"other.weight": torch.ones(2, 2)}
OPTIMIZER = {"state": {0: {"exp_avg": torch.ones(2)}}, "param_groups": [{"lr": 0.1}]}


def find(content: Any, key: str | None = None) -> Found:
    return find_tensors("net.pth", content, key)


def refusal(content: Any, key: str | None = None) -> str:
    with pytest.raises(WeightsError) as caught:
        find(content, key)
    return str(caught.value)


def test_named_tensors_are_used_as_they_are() -> None:
    found = find(TENSORS)
    assert same(found.tensors, TENSORS)
    assert (found.key, found.others, found.left_out) == (None, (), ())


@pytest.mark.parametrize("key", [*sorted(KEYS), "model_ema", "teacher", "any name"])
def test_the_only_tensors_are_used_under_any_key(key: str) -> None:
    found = find({"epoch": 3, key: TENSORS, "optimizer": OPTIMIZER, "best": torch.tensor(0.5)})
    assert same(found.tensors, TENSORS)
    assert (found.key, found.others, found.left_out) == (key, (), ("epoch", "optimizer", "best"))


@pytest.mark.parametrize("average", ["state_dict_ema", "model_ema", "ema", "teacher"])
def test_a_moving_average_is_named_and_not_used_unless_asked_for(average: str) -> None:
    content = {average: OTHER, "model": TENSORS}
    found = find(content)
    assert same(found.tensors, TENSORS)
    assert (found.key, found.others) == ("model", (average,))
    assert same(find(content, average).tensors, OTHER)


@pytest.mark.parametrize("keys", [("student", "teacher"), ("model", "state_dict"), ("generator", "discriminator")])
def test_neither_of_two_equal_sets_is_guessed(keys: tuple[str, str]) -> None:
    content = dict.fromkeys(keys, TENSORS)
    assert refusal(content).endswith(f"several sets of weights; choose one with `key`: {', '.join(keys)}")
    assert same(find(content, keys[1]).tensors, TENSORS)


def test_tensors_are_found_below_several_keys() -> None:
    found = find({"state": {"model": TENSORS, "step": 3}, "version": 2})
    assert same(found.tensors, TENSORS)
    assert (found.key, found.left_out) == ("state.model", ("version",))


def test_other_values_among_the_tensors_are_left_out() -> None:
    found = find({"state_dict": {**TENSORS, "_extra_state": None, 7: torch.ones(1)}})
    assert same(found.tensors, TENSORS)
    assert found.left_out == ("state_dict._extra_state", "state_dict.7")


@pytest.mark.parametrize("key", ["optimizer", "optim", "Optimizer_state_dict"])
def test_the_state_of_an_optimizer_is_never_the_model(key: str) -> None:
    state = {"conv.weight": {"exp_avg": torch.ones(3)}}
    assert same(find({"model": TENSORS, key: {"state": state}}).tensors, TENSORS)
    assert "contains only" in refusal({key: {"state": state}})


def test_an_unknown_key_is_an_error_that_lists_the_keys() -> None:
    message = refusal({"model": TENSORS, "model_ema": OTHER, "epoch": 3}, "ema")
    assert message == "net.pth has no tensors under the `key` 'ema'; choose from model, model_ema"


def test_a_key_for_tensors_that_have_none_is_an_error() -> None:
    assert "so omit `key`" in refusal(TENSORS, "model")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ([TENSORS], "it is a list"),
        (torch.ones(1), "it is a Tensor"),
        ({}, "it is empty"),
        ({"epoch": 3, "loss": torch.tensor(1.0)}, "it contains only epoch, loss"),
    ],
    ids=["list", "tensor", "empty", "numbers"],
)
def test_a_file_without_named_tensors_is_an_error_that_describes_it(content: Any, words: str) -> None:
    assert refusal(content) == f"net.pth must contain named tensors; {words}"


def test_a_dict_that_contains_itself_is_searched_to_a_limited_depth() -> None:
    content: dict[str, Any] = {"model": TENSORS}
    content["self"] = content
    found = find(content)
    assert (found.key, found.others) == ("model", ("self.model", "self.self.model"))
