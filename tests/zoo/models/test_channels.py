"""The first convolution of a network is adapted to other numbers of channels."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

from zoo.errors import OptionError, PluginError
from zoo.models.build import build_backbone, build_model
from zoo.models.channels import adapt_channels, adapt_weight, get_first_convs, refuse_channels
from zoo.models.weights.choose import WeightsSource, choose_weights
from zoo.plugin import BackboneSpec
from zoo.progress import Silent
from zoo.registry.registry import open_registry


@pytest.fixture
def tiny() -> BackboneSpec:
    return open_registry().resolve("tiny").backbone


def test_one_channel_gets_the_sum_of_the_weights() -> None:
    weight = torch.randn(4, 3, 5, 5)
    torch.testing.assert_close(adapt_weight(weight, 1)[:, 0], weight[:, 0] + weight[:, 1] + weight[:, 2])


def test_more_channels_repeat_the_weights_scaled() -> None:
    weight = torch.randn(4, 3, 5, 5)
    adapted = adapt_weight(weight, 5)
    torch.testing.assert_close(adapted, torch.cat([weight, weight[:, :2]], 1) * 3 / 5)


def test_six_channels_give_the_output_of_three_for_repeated_images() -> None:
    weight, images = torch.randn(4, 3, 5, 5).double(), torch.randn(2, 3, 8, 8).double()
    wanted = nn.functional.conv2d(images, weight)
    torch.testing.assert_close(nn.functional.conv2d(images.repeat(1, 2, 1, 1), adapt_weight(weight, 6)), wanted)


def test_half_precision_is_summed_in_single_precision_and_kept() -> None:
    weight = torch.randn(4, 3, 5, 5).half()
    assert torch.equal(adapt_weight(weight, 1), weight.float().sum(1, keepdim=True).half())


def test_only_the_declared_layer_changes_and_it_stays_the_same_object(tiny: BackboneSpec) -> None:
    model = build_model(tiny, None)
    before, layer = {name: tensor.clone() for name, tensor in model.state_dict().items()}, model.get_submodule("conv1")
    adapt_channels(tiny, model, 5)
    changed = [name for name, tensor in model.state_dict().items() if not torch.equal(tensor, before[name])]
    assert changed == ["conv1.weight"]
    assert model.get_submodule("conv1") is layer
    assert layer.in_channels == 5


def test_gray_images_give_the_logits_of_the_published_weights(tiny: BackboneSpec) -> None:
    source = choose_weights(open_registry().resolve("tiny"), None)
    color, _ = build_backbone(tiny, source, Silent())
    gray, _ = build_backbone(tiny, source, Silent(), 1)
    images = torch.randn(2, 1, 64, 64).double()
    wanted = color.double().eval()(images.expand(-1, 3, -1, -1))
    torch.testing.assert_close(gray.double().eval()(images), wanted, rtol=1e-5, atol=1e-5)


def test_a_wrong_path_is_named_with_those_that_exist(tiny: BackboneSpec) -> None:
    with pytest.raises(PluginError, match=r"'conv', but its model has no such layer; its convolutions include conv1"):
        get_first_convs(replace(tiny, first_conv="conv"), build_model(tiny, None))


def test_a_layer_that_is_no_convolution_is_refused(tiny: BackboneSpec) -> None:
    with pytest.raises(PluginError, match=r"'fc', which is a Linear"):
        get_first_convs(replace(tiny, first_conv="fc"), build_model(tiny, None))


def test_a_convolution_with_groups_is_refused(tiny: BackboneSpec) -> None:
    model = build_model(tiny, None)
    model.conv1 = nn.Conv2d(4, 4, 3, groups=2)
    with pytest.raises(PluginError, match="has groups or a computed weight"):
        get_first_convs(tiny, model)


def test_a_backbone_without_the_capability_is_refused_with_its_reason(tiny: BackboneSpec) -> None:
    spec = replace(tiny, supports=(), unsupported={"channels": "its first layer is linear"})
    with pytest.raises(OptionError, match="cannot be adapted to 1 channels: its first layer is linear"):
        build_backbone(spec, WeightsSource("none"), Silent(), 1)
    refuse_channels(spec, 3, 3)
    refuse_channels(spec, 3, None)
