from __future__ import annotations

from dataclasses import dataclass, make_dataclass, replace

import pytest
import torch
from torch import Tensor, nn

from zoo.errors import PluginError
from zoo.models.build import build_model
from zoo.models.meta_device import build_on_meta
from zoo.plugin import BackboneSpec

IMAGES = torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))


@dataclass
class Output:
    logits: Tensor
    hidden: Tensor


@pytest.fixture
def plain(acme: BackboneSpec) -> nn.Module:
    torch.manual_seed(0)
    return build_model(acme, None).eval()


@pytest.fixture(params=[Output, dict, make_dataclass("Slots", ["logits", "hidden"], slots=True)], ids=str)
def with_fields(request: pytest.FixtureRequest, acme: BackboneSpec) -> BackboneSpec:
    """The backbone acme/net, but its model returns an object, a mapping, or an object with slots."""

    def build(tag: str | None) -> nn.Module:
        model = acme.build(tag)
        forward = model.forward
        model.forward = lambda images: request.param(logits=forward(images), hidden=images)  # type: ignore[method-assign]
        return model

    return replace(acme, build=build, output_field="logits")


def test_the_model_returns_the_field_and_keeps_its_names(with_fields: BackboneSpec, plain: nn.Module) -> None:
    torch.manual_seed(0)
    model = build_model(with_fields, None).eval()
    assert torch.equal(model(IMAGES), plain(IMAGES))
    assert model.state_dict().keys() == plain.state_dict().keys()
    assert type(model) is type(plain)


def test_the_model_on_the_meta_device_returns_the_field(with_fields: BackboneSpec) -> None:
    assert build_on_meta(with_fields)(IMAGES.to("meta")).is_meta


def test_an_unknown_field_is_an_error_that_lists_the_fields(with_fields: BackboneSpec) -> None:
    model = build_model(replace(with_fields, output_field="scores"), None)
    with pytest.raises(PluginError, match=r"is not a tensor in the output .* logits \(2, 10\), hidden"):
        model(IMAGES)


def test_a_tensor_is_an_error_if_a_field_is_declared(acme: BackboneSpec) -> None:
    model = build_model(replace(acme, output_field="logits"), None)
    with pytest.raises(PluginError, match=r"returns a tensor of shape \(2, 10\); omit output_field"):
        model(IMAGES)
