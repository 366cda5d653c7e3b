from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

from foreign import PARAMS, WIDTH, FieldTower, Tower, declare
from zoo.errors import PluginError
from zoo.models.blocks import list_blocks
from zoo.models.build import build_model
from zoo.models.head import get_head
from zoo.models.meta_device import build_on_meta
from zoo.plugin import BackboneSpec

IMAGES = torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))


@pytest.fixture(params=[Tower, FieldTower])
def spec(request: pytest.FixtureRequest) -> BackboneSpec:
    return declare(request.param)


def test_the_head_is_one_submodule_and_one_hook(spec: BackboneSpec) -> None:
    torch.manual_seed(0)
    model, upstream = build_model(spec, None), spec.build(None)
    assert type(model) is type(upstream)
    added = model.state_dict().keys() - upstream.state_dict().keys()
    assert added == {"head.weight", "head.bias"}
    assert len(model._forward_hooks) == 1


def test_the_head_is_called_on_the_features(spec: BackboneSpec) -> None:
    model = build_model(spec, None).eval()
    assert isinstance(model, Tower)
    assert torch.equal(model(IMAGES), model.get_submodule("head")(model.run_features(IMAGES)))


def test_the_added_head_is_the_head_and_in_no_block(spec: BackboneSpec) -> None:
    model = build_model(spec, None)
    head = get_head(spec, model)
    assert head.paths == ("head",)
    assert [block.name for block in list_blocks(spec, model, head)] == ["stem", "layer1", "layer2", "hidden"]
    assert sum(own.numel() for name, own in model.named_parameters() if not head.covers(name)) == spec.params == PARAMS


def test_a_model_on_the_meta_device_gets_its_head_there(spec: BackboneSpec) -> None:
    model = build_on_meta(spec)
    assert model.get_parameter("head.weight").is_meta
    assert model(IMAGES.to("meta")).shape == (2, 10)


@pytest.mark.parametrize("name", ["hidden", "forward", "training"])
def test_a_name_that_the_model_has_is_refused(name: str) -> None:
    with pytest.raises(PluginError, match=f"its Tower already has '{name}'; declare another name in head"):
        build_model(declare(Tower, head=(name,)), None)


def test_other_features_than_declared_are_refused() -> None:
    model = build_model(declare(Tower, features=WIDTH + 1), None)
    with pytest.raises(
        PluginError, match=r"features=13 does not match Tower, which returns a tensor of shape \(2, 12\)"
    ):
        model(IMAGES)


def test_an_object_is_refused_with_its_fields() -> None:
    model = build_model(replace(declare(FieldTower), output_field=None), None)
    with pytest.raises(PluginError, match=r"an Output with the tensors logits \(2,\), hidden \(2, 12\) instead"):
        model(IMAGES)


def test_features_with_positions_are_refused() -> None:
    class Tokens(Tower):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return self.run_features(images)[:, None]

    def build(_tag: str | None) -> nn.Module:
        return Tokens()

    with pytest.raises(PluginError, match=r"a tensor of shape \(2, 1, 12\) instead of features of shape \(N, 12\)"):
        build_model(declare(Tower, build=build), None)(IMAGES)
