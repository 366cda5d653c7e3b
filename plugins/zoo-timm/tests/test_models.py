"""One architecture of every timm module: what its spec says is true of the model that timm builds."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING

import pytest
import torch
from torch import nn

from zoo_timm.catalogue import packaged_catalogue
from zoo_timm.prefixes import covers
from zoo_timm.reading import read_backbone

if TYPE_CHECKING:
    from zoo.plugin import BackboneSpec

pytestmark = pytest.mark.usefixtures("catalogued_timm")


def smallest_of_each_family() -> list[BackboneSpec]:
    smallest = {}
    for spec in packaged_catalogue().backbones.values():
        if spec.family not in smallest or spec.params < smallest[spec.family].params:
            smallest[spec.family] = spec
    return sorted(smallest.values(), key=lambda spec: spec.name)


@pytest.fixture(scope="module", params=smallest_of_each_family(), ids=lambda spec: spec.name.partition("/")[2])
def spec(request: pytest.FixtureRequest) -> BackboneSpec:
    return request.param


@pytest.fixture(scope="module")
def model(spec: BackboneSpec) -> nn.Module:
    with torch.device("meta"):
        return spec.build(None)


def forward(model: nn.Module, spec: BackboneSpec) -> torch.Tensor:
    with torch.no_grad():
        return model(torch.empty(2, *spec.input.size, device="meta"))


def test_the_catalogue_holds_what_is_read_now(spec: BackboneSpec) -> None:
    read = read_backbone(spec.name.partition("/")[2])
    differing = [field.name for field in fields(spec) if getattr(spec, field.name) != getattr(read, field.name)]
    assert set(differing) <= {"build", "convert", "upstream"}


def test_params_are_counted_once_each(spec: BackboneSpec, model: nn.Module) -> None:
    assert sum(parameter.numel() for parameter in model.parameters()) == spec.params


def test_heads_are_all_layers_with_1000_outputs(spec: BackboneSpec, model: nn.Module) -> None:
    layers = {name: layer for name, layer in model.named_modules() if isinstance(layer, (nn.Linear, nn.Conv2d))}
    assert {name for name, layer in layers.items() if layer.weight.shape[0] == 1000} == set(spec.head)


def test_every_parameter_name_is_in_one_block_or_head(spec: BackboneSpec, model: nn.Module) -> None:
    prefixes = [*spec.head, *(prefix for block in spec.blocks for prefix in block.prefixes)]
    for name, _ in model.named_parameters(remove_duplicate=False):
        assert sum(covers(prefix, name) for prefix in prefixes) == 1, name


def test_every_prefix_covers_a_parameter(spec: BackboneSpec, model: nn.Module) -> None:
    names = [name for name, _ in model.named_parameters(remove_duplicate=False)]
    for block in spec.blocks:
        for prefix in block.prefixes:
            assert any(covers(prefix, name) for name in names), prefix


def test_blocks_run_in_their_order(spec: BackboneSpec, model: nn.Module) -> None:
    ran = []
    for place, block in enumerate(spec.blocks):
        for name, module in model.named_modules():
            if any(covers(prefix, name) for prefix in block.prefixes):
                module.register_forward_pre_hook(lambda *_, place=place: ran.append(place))
    assert forward(model.eval(), spec).shape == (2, 1000)
    assert list(dict.fromkeys(ran)) == sorted(set(ran))


def test_gives_logits_in_training(spec: BackboneSpec, model: nn.Module) -> None:
    assert forward(model.train(), spec).shape == (2, 1000)
