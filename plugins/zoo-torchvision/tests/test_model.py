"""Building the networks, and the differences between upstream's builders and its files."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

import pytest
import torch
import torchvision
from safetensors.torch import load_file

from zoo.errors import NameNotFound

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from torch import Tensor, nn

    from zoo.plugin import BackboneSpec

    Build = Callable[..., nn.Module]

# One small network of each family.
SMALL = (
    "alexnet",
    "convnext_tiny",
    "densenet121",
    "efficientnet_b0",
    "googlenet",
    "inception_v3",
    "maxvit_t",
    "mnasnet0_5",
    "mobilenet_v2",
    "mobilenet_v3_small",
    "regnet_x_400mf",
    "resnet18",
    "shufflenet_v2_x0_5",
    "squeezenet1_1",
    "swin_t",
    "vgg11",
    "vit_b_32",
)
IMAGENET_MEAN = torch.tensor((0.485, 0.456, 0.406)).view(3, 1, 1)
IMAGENET_STD = torch.tensor((0.229, 0.224, 0.225)).view(3, 1, 1)


def evaluate_constructor(spec: BackboneSpec, **values: int) -> nn.Module:
    assert spec.constructor
    return eval(spec.constructor.format(**values), {"torchvision": torchvision})


def set_running_statistics(network: nn.Module, images: Tensor) -> nn.Module:
    """Set the running statistics from ``images``. Otherwise, all outputs would be nearly the same."""
    for module in network.train().modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = 1.0
    with torch.no_grad():
        network(images)
    return network.eval()


def resize_heads(classes: int, network: nn.Module, spec: BackboneSpec) -> OrderedDict[str, Tensor]:
    """Return the tensors of the network with all heads cut to the first ``classes`` outputs."""
    heads = (*spec.head, *spec.aux_heads)
    return OrderedDict(
        (key, tensor[:classes] if key.rpartition(".")[0] in heads else tensor)
        for key, tensor in network.state_dict().items()
    )


#: Networks with all ways of initialization. Building the others is a slow test.
BUILT = ("googlenet", "mobilenet_v3_small", "squeezenet1_1", "swin_t")


@pytest.mark.parametrize(
    "small", [name if name in BUILT else pytest.param(name, marks=pytest.mark.breadth) for name in SMALL]
)
def test_building_is_silent_offline_and_repeatable(
    small: str, specs: dict[str, BackboneSpec], capfd: pytest.CaptureFixture[str]
) -> None:
    """Passes only without warnings, because warnings are errors in tests."""
    states = []
    for _ in range(2):
        torch.manual_seed(7)
        states.append(specs[small].build(specs[small].weights[0].tag).state_dict())
    assert all(torch.equal(tensor, states[1][key]) for key, tensor in states[0].items())
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("inception", ["googlenet", pytest.param("inception_v3", marks=pytest.mark.breadth)])
def test_inception_files_load_strictly_in_upstream_and_predict_the_same(
    inception: str, specs: dict[str, BackboneSpec]
) -> None:
    spec = specs[inception]
    images = torch.rand(2, *spec.input.size)
    network = set_running_statistics(spec.build(spec.weights[0].tag), images)
    plain = evaluate_constructor(spec, num_classes=2)
    plain.load_state_dict(resize_heads(2, network, spec), strict=True)
    with torch.inference_mode():
        torch.testing.assert_close(plain.eval()(images), network(images)[:, :2], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("inception", ["googlenet", pytest.param("inception_v3", marks=pytest.mark.breadth)])
def test_our_input_equals_the_one_that_upstream_computes_from_imagenet_input(
    inception: str, specs: dict[str, BackboneSpec]
) -> None:
    spec = specs[inception]
    mean, std = (torch.tensor(value).view(3, 1, 1) for value in (spec.input.mean, spec.input.std))
    pixels = torch.rand(2, *spec.input.size)
    ours, imagenets = (pixels - mean) / std, (pixels - IMAGENET_MEAN) / IMAGENET_STD
    network = set_running_statistics(spec.build(None).double(), ours.double())
    assert network.transform_input is False
    with torch.inference_mode():
        found, wrong = network(ours.double()), network(imagenets.double())
        network.transform_input = True  # as in upstream's builder with weights=
        expected = network(imagenets.double())
    scale = expected.abs().max().item()
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5 * scale)
    assert (wrong - expected).abs().max().item() > 1e-2 * scale


def test_inception_cannot_train_at_upstreams_smallest_size(
    build_on_meta: Build, specs: dict[str, BackboneSpec]
) -> None:
    network = build_on_meta("inception_v3")
    network.eval()(torch.empty(2, 3, 75, 75, device="meta"))
    with pytest.raises(RuntimeError, match=r"too small|greater than actual input size"):
        network.train()(torch.empty(2, 3, 298, 298, device="meta"))
    assert specs["inception_v3"].input.min_size == 299


def test_googlenets_file_has_no_trained_auxiliary_heads(specs: dict[str, BackboneSpec]) -> None:
    """Upstream: "auxiliary heads in the pretrained googlenet model are NOT pretrained"."""
    assert specs["googlenet"].weights[0].lacks == ("aux1", "aux2")
    assert specs["inception_v3"].weights[0].lacks == ()


@pytest.mark.breadth
@pytest.mark.parametrize(
    ("tag", "expected"),
    [(None, 0.01), ("IMAGENET1K_FEATURES", 0.01), ("IMAGENET1K_V1", None)],
)
def test_vgg_is_initialized_like_upstream_unless_weights_set_all_parameters(
    specs: dict[str, BackboneSpec], tag: str | None, expected: float | None
) -> None:
    """Upstream samples the weights from a normal distribution with this standard deviation. The biases are 0."""
    layer = specs["vgg16"].build(tag).get_submodule("classifier.3")
    if expected is None:
        assert layer.bias.any()
    else:
        assert not layer.bias.any()
        assert layer.weight.std().item() == pytest.approx(expected, rel=0.01)


def test_an_unknown_tag_is_an_error_that_lists_the_known_ones(specs: dict[str, BackboneSpec]) -> None:
    with pytest.raises(NameNotFound, match="resnet18 has no weights 'V9'; it has IMAGENET1K_V1"):
        specs["resnet18"].build("V9")


@pytest.mark.parametrize(
    "vit",
    [
        "vit_b_16",
        *(pytest.param(name, marks=pytest.mark.breadth) for name in ("vit_b_32", "vit_l_16", "vit_l_32", "vit_h_14")),
    ],
)
def test_vit_is_built_for_the_image_size_of_its_weights(
    vit: str, specs: dict[str, BackboneSpec], build_on_meta: Build
) -> None:
    spec = specs[vit]
    assert build_on_meta(vit).image_size == spec.input.size[1]
    for weights in spec.weights:
        size = (weights.input or spec.input).size[1]
        network = build_on_meta(vit, weights.tag)
        assert network.image_size == size
        assert network.eval()(torch.empty(1, 3, size, size, device="meta")).shape == (1, 1000)


def test_old_densenet_names_are_converted(specs: dict[str, BackboneSpec], build_on_meta: Build) -> None:
    spec = specs["densenet121"]
    assert spec.convert
    tensors = build_on_meta("densenet121").state_dict()
    kinds = ("norm1", "conv1", "norm2", "conv2")
    old = {
        ".".join(f"{part[:-1]}.{part[-1]}" if part in kinds else part for part in key.split(".")): tensor
        for key, tensor in tensors.items()
    }
    assert "features.denseblock1.denselayer1.norm.1.weight" in old
    assert set(spec.convert("IMAGENET1K_V1", old)) == set(spec.convert("IMAGENET1K_V1", tensors)) == set(tensors)


def test_old_vit_names_are_converted(specs: dict[str, BackboneSpec], build_on_meta: Build) -> None:
    spec = specs["vit_b_32"]
    assert spec.convert
    tensors = build_on_meta("vit_b_32").state_dict()
    old = {
        key.replace(".mlp.0.", ".mlp.linear_1.").replace(".mlp.3.", ".mlp.linear_2."): tensor
        for key, tensor in tensors.items()
    }
    assert "encoder.layers.encoder_layer_0.mlp.linear_2.bias" in old
    assert set(spec.convert("IMAGENET1K_V1", old)) == set(spec.convert("IMAGENET1K_V1", tensors)) == set(tensors)


def test_mnasnet_requires_a_version_that_a_plain_dict_lacks(specs: dict[str, BackboneSpec]) -> None:
    """Upstream refuses a dict of tensors without ``_metadata``, such as one loaded from a safetensors file."""
    network = specs["mnasnet0_5"].build(None)
    tensors = OrderedDict(network.state_dict().items())
    with pytest.raises(ValueError, match="version should be set to 1 or 2 instead of None"):
        network.load_state_dict(tensors)
    tensors._metadata = {"": {"version": 2}}
    network.load_state_dict(tensors, strict=True)


@pytest.mark.parametrize("real", ["mobilenet_v2", "squeezenet1_1"])
def test_real_weights_load_strictly(real: str, specs: dict[str, BackboneSpec], assets: Path) -> None:
    network = specs[real].build(None)
    network.load_state_dict(load_file(assets / "weights" / f"torchvision_{real}.safetensors"), strict=True)
