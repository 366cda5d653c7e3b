from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from zoo.engine.embedding import Tap, build_tap
from zoo.errors import NameNotFound, OptionError
from zoo.models.head import get_head, replace_head
from zoo.plugin import BackboneSpec, BlockSpec
from zoo.registry.head_design import HeadDesign


class Fixed(nn.Module):
    """A layer that returns a fixed value."""

    def __init__(self, value: object) -> None:
        super().__init__()
        self.value = value

    def forward(self, _images: Tensor) -> object:
        return self.value


IMAGES = torch.randn(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))


@torch.no_grad()
def test_the_features_are_the_input_of_the_head(acme: BackboneSpec) -> None:
    model = acme.build(None).eval()
    found = build_tap(acme, model, get_head(acme, model), None).compute(IMAGES)
    assert torch.equal(model.classifier[3](found), model(IMAGES))


@torch.no_grad()
def test_the_features_before_an_mlp_head_are_the_input_of_the_mlp(acme: BackboneSpec) -> None:
    model = acme.build(None)
    head = replace_head(acme, model, 2, HeadDesign.parse("mlp:5"))
    model.eval()
    found = build_tap(acme, model, head, None).compute(IMAGES)
    assert torch.equal(model.classifier(found), model(IMAGES))


@torch.no_grad()
def test_the_feature_map_of_a_block_is_averaged(acme: BackboneSpec) -> None:
    model = acme.build(None).eval()
    found = build_tap(acme, model, get_head(acme, model), "layer1").compute(IMAGES)
    assert torch.allclose(found, model.layer1(model.stem(IMAGES)).mean((2, 3)))
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())


def test_an_unknown_block_is_refused_with_the_existing_ones(acme: BackboneSpec) -> None:
    model = acme.build(None)
    with pytest.raises(NameNotFound, match="no block 'layer9'; the blocks from input to output are stem, layer1"):
        build_tap(acme, model, get_head(acme, model), "layer9")


def test_a_block_without_layers_is_refused(acme: BackboneSpec) -> None:
    model = acme.build(None)
    model.token = nn.Parameter(torch.zeros(3))
    spec = replace(acme, blocks=(BlockSpec("token", ("token",)), *acme.blocks))
    with pytest.raises(OptionError, match="the block 'token' has no layers, only the parameters token"):
        build_tap(spec, model, get_head(spec, model), "token")


@pytest.mark.parametrize(
    ("value", "dimensions"),
    [
        (torch.randn(2, 5), None),
        (torch.randn(2, 7, 5), 1),
        (torch.randn(2, 5, 3, 3), (2, 3)),
        (torch.randn(2, 3, 3, 5), (1, 2)),
    ],
)
@pytest.mark.parametrize("is_tuple", [False, True])
def test_tokens_and_feature_maps_are_averaged_over_their_positions(
    value: Tensor, dimensions: int | tuple[int, int] | None, *, is_tuple: bool
) -> None:
    layer = Fixed((value, None) if is_tuple else value)
    expected = value if dimensions is None else value.mean(dimensions)
    assert torch.equal(Tap(layer, [layer], "b").compute(IMAGES), expected)


@pytest.mark.parametrize("value", [None, {"a": 1}, torch.zeros(2, 1, 1, 1, 1), torch.zeros(2)])
def test_an_output_that_is_not_features_is_refused(value: object) -> None:
    layer = Fixed(value)
    with pytest.raises(OptionError, match="the features at the block 'b' are "):
        Tap(layer, [layer], "b").compute(IMAGES)
