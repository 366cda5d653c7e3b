"""A plugin's convert gets the arguments that it asks for, and what it prints and returns is contained."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from zoo.errors import PluginError
from zoo.models.weights.choose import WeightsSource
from zoo.models.weights.converting import convert_tensors, takes_model
from zoo.models.weights.load import load_tensors
from zoo.plugin import BackboneSpec, WeightsSpec

SOURCE = WeightsSource("V1", "V1", weights=WeightsSpec(tag="V1", url=None, license="MIT", num_classes=10))


class Callables:
    def two(self, tag: str, tensors: Any) -> Any: ...
    def three(self, tag: str, tensors: Any, model: Any) -> Any: ...
    def __call__(self, tag: str, tensors: Any, model: Any) -> Any: ...


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (lambda _tag, _tensors: {}, False),
        (lambda _tag, _tensors, _model: {}, True),
        (lambda _tag, _tensors, _strict=False: {}, False),
        (lambda _tag, _tensors, *_rest: {}, False),
        (lambda _tag, _tensors, *, _strict=False: {}, False),
        (Callables().two, False),
        (Callables().three, True),
        (Callables(), True),
        (partial(lambda _prefix, _tag, _tensors: {}, "a"), False),
        (partial(lambda _prefix, _tag, _tensors, _model: {}, "a"), True),
        (print, False),
        (dict.get, False),
    ],
)
def test_a_function_with_three_required_arguments_takes_the_model(
    function: Callable[..., Any], *, expected: bool
) -> None:
    assert takes_model(function) is expected


def prefixed(model: nn.Module) -> dict[str, Tensor]:
    """Return tensors of ones for a model, under names that it does not have."""
    return {f"net.{name}": torch.ones_like(tensor) for name, tensor in model.state_dict().items()}


def test_the_built_model_is_passed_and_the_result_is_loaded(acme: BackboneSpec) -> None:
    model = acme.build(None)
    passed = []

    def convert(tag: str, tensors: Mapping[str, Tensor], own: nn.Module) -> dict[str, Tensor]:
        passed.append((tag, own))
        known = own.state_dict()
        return {name.removeprefix("net."): tensor.reshape(known[name[4:]].shape) for name, tensor in tensors.items()}

    load_tensors(replace(acme, convert=convert), model, SOURCE, prefixed(model))
    assert [(tag, own is model) for tag, own in passed] == [("V1", True)]
    assert all((tensor == 1).all() for tensor in model.state_dict().values())


def test_what_convert_prints_does_not_go_to_stdout(acme: BackboneSpec, capsys: pytest.CaptureFixture[str]) -> None:
    def convert(_tag: str, tensors: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        print("converting")  # noqa: T201  # a careless plugin
        return tensors

    convert_tensors(replace(acme, convert=convert), acme.build(None), SOURCE, {"a": torch.ones(1)})
    assert capsys.readouterr() == ("", "converting\n")


@pytest.mark.parametrize("result", [None, [], {"a": 1}, {1: torch.ones(1)}, torch.ones(1)])
def test_a_result_of_the_wrong_type_is_refused_with_the_place(acme: BackboneSpec, result: Any) -> None:
    spec = replace(acme, convert=lambda _tag, _tensors, _model: result)
    with pytest.raises(PluginError, match=r"convert\(\) \(.*test_converting\.py:\d+\) of acme/net must return a map"):
        convert_tensors(spec, acme.build(None), SOURCE, {"a": torch.ones(1)})


def test_a_convert_that_asks_for_more_is_refused(acme: BackboneSpec) -> None:
    spec = replace(acme, convert=lambda _tag, _tensors, _model, _device: {})  # type: ignore[arg-type,misc]  # the fault
    with pytest.raises(PluginError, match=r"acme/net cannot convert the tensors of V1: TypeError: .* 2 required posit"):
        convert_tensors(spec, acme.build(None), SOURCE, {"a": torch.ones(1)})


def test_convert_runs_without_gradients(acme: BackboneSpec) -> None:
    def convert(_tag: str, _tensors: Any, model: nn.Module) -> dict[str, Tensor]:
        return {name: parameter * 2 for name, parameter in model.named_parameters()}

    found = convert_tensors(replace(acme, convert=convert), acme.build(None), SOURCE, {"a": torch.ones(1)})
    assert not any(tensor.requires_grad for tensor in found.values())
