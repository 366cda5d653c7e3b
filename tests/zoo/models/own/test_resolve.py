"""The user's own network becomes a backbone, whose head and blocks are proved by forward passes."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from acme import build_acme
from foreign import FieldNet, MappingNet
from zoo.errors import NameNotFound, OptionError, PluginError
from zoo.models.own.own_network import declare, open_own
from zoo.models.own.resolve import resolve_own
from zoo.plugin import BlockSpec
from zoo.registry.recipe import make_recipe
from zoo.registry.resolved import Resolved


def resolve(model: nn.Module, blocks: Any = None, **options: Any) -> Resolved:
    own = open_own(model)
    assert own is not None
    own, options = declare(own, {"image_size": 16, **options}, blocks)
    return resolve_own(own, make_recipe(options))


def test_the_head_and_the_blocks_are_found() -> None:
    resolved = resolve(build_acme(None))
    backbone = resolved.backbone
    assert (backbone.name, backbone.head, backbone.num_classes) == ("own/Sequential", ("classifier.3",), 10)
    assert backbone.blocks == (
        *(BlockSpec(name, (name,)) for name in ("stem", "layer1", "layer2")),
        BlockSpec("classifier", ("classifier.0",)),
    )
    assert resolved.origin is not None
    assert resolved.origin.describe() == "a Sequential that was passed from Python"


def test_the_input_follows_from_the_options() -> None:
    expected = resolve(build_acme(None), mean=0.5, std=(0.1, 0.2, 0.3), resize="squash").backbone.input
    assert (expected.size, expected.mean, expected.std) == ((3, 16, 16), (0.5, 0.5, 0.5), (0.1, 0.2, 0.3))
    assert (expected.resize, expected.crop) == (16, "squash")


@pytest.mark.parametrize(
    ("head", "path", "design"),
    [
        ("classifier.3", "classifier.3", "linear"),
        ("linear", None, "linear"),
        ("mlp:5", None, "mlp:5"),
        ("classifier.3=mlp:5", "classifier.3", "mlp:5"),
    ],
)
def test_head_is_a_path_or_a_design_or_both(head: str, path: str | None, design: str) -> None:
    own = open_own(build_acme(None))
    assert own is not None
    declared, options = declare(own, {"head": head}, None)
    assert (declared.head, options["head"]) == (path, design)


@pytest.mark.parametrize(
    "blocks",
    [
        "early=stem+layer1,layer2,classifier",
        {"early": ("stem", "layer1"), "layer2": "layer2", "classifier": ["classifier"]},
    ],
)
def test_blocks_are_paths_or_paths_by_name(blocks: Any) -> None:
    assert resolve(build_acme(None), blocks).backbone.blocks == (
        BlockSpec("early", ("stem", "layer1")),
        BlockSpec("layer2", ("layer2",)),
        BlockSpec("classifier", ("classifier.0",)),
    )


def test_a_block_that_the_forward_pass_does_not_use_may_be_anywhere() -> None:
    model = build_acme(None)
    model.register_parameter("spare", nn.Parameter(torch.zeros(3)))
    blocks = ["stem", "layer1", "spare", "layer2", "classifier"]
    found = resolve(model, blocks).backbone.blocks
    assert [block.name for block in found] == blocks  # type: ignore[union-attr]  # it is a tuple


def test_the_module_that_the_user_passed_is_not_changed() -> None:
    model = build_acme(None).eval()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    resolved = resolve(model)
    built = resolved.backbone.build(None)
    assert built is not model
    for found in (model, built):
        assert all(torch.equal(tensor, before[name]) for name, tensor in found.state_dict().items())
    assert not any(module.training for module in model.modules())


class Splitting(nn.Module):
    """A network with an auxiliary layer that runs after its head, so that the last layer is not the head."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 6, 3)
        self.fc = nn.Linear(6, 4)
        self.aux = nn.Linear(6, 4)

    def forward(self, images: Tensor) -> Tensor:
        features = self.stem(images).mean((2, 3))
        logits: Tensor = self.fc(features)
        return logits + 0 * self.aux(features).mean()


def test_a_layer_that_does_not_output_the_logits_is_not_the_head() -> None:
    with pytest.raises(
        OptionError, match=r"aux is not the head of Splitting: with 3 outputs, .* \(2, 4\) for 2 images"
    ):
        resolve(Splitting())
    assert resolve(Splitting(), head="fc").backbone.head == ("fc",)


@pytest.mark.parametrize(
    ("kind", "chosen"), [(FieldNet, r"output\.logits"), (MappingNet, r'output\["logits"\]')], ids=["object", "mapping"]
)
def test_a_network_that_returns_an_object_is_refused_with_the_hook_that_helps(
    kind: type[nn.Module], chosen: str
) -> None:
    with pytest.raises(OptionError, match=rf"with the tensors .*not logits; choose one .*lambda.*: {chosen}\)`"):
        resolve(kind())


def test_a_hook_makes_a_network_return_logits() -> None:
    network = FieldNet()
    network.register_forward_hook(lambda _module, _images, output: output.logits)
    resolved = resolve(network)
    assert resolved.backbone.head == ("head",)
    assert resolved.backbone.build(None)(torch.rand(2, 3, 16, 16)).shape == (2, 10)


class Unused(Splitting):
    """A network that never calls one of its layers."""

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.fc(self.stem(images).mean((2, 3)))
        return logits


def test_parameters_that_are_never_used_are_reported() -> None:
    notes = resolve(Unused(), train="all").notes
    assert "the forward pass does not use 2 of the parameters (aux.weight, aux.bias)" in notes
    with pytest.raises(OptionError, match="the forward pass of Unused never calls aux"):
        resolve(Unused(), head="aux")


@pytest.mark.parametrize(
    ("blocks", "error", "message"),
    [
        ("stem,layer2,layer1,classifier", OptionError, "in the order .*: stem, layer1, layer2, classifier"),
        ("stem,layer1", PluginError, r"parameter layer2\.0\.weight is in neither a block nor a head"),
        ("stem,layer1,layer9,classifier", NameNotFound, "no module 'layer9'.*did you mean layer2"),
        ("stem,,layer1", OptionError, "invalid `blocks` 'stem,,layer1'"),
        ("stem,stem=layer1", OptionError, "each with its own name"),
        ([], OptionError, r"invalid `blocks` \[\]"),
    ],
)
def test_blocks_that_do_not_fit_are_refused(blocks: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        resolve(build_acme(None), blocks)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"head": "classifier.9"}, NameNotFound, r"no module 'classifier\.9'"),
        ({"head": "stem"}, OptionError, "the head 'stem' of Sequential is a Sequential, not a Linear or Conv2d"),
        ({"weights": "none"}, OptionError, "cannot initialize your own network, so `weights` cannot be none"),
        ({"baseline": "scratch"}, OptionError, "`baseline` needs a backbone of a plugin"),
        ({"train": "all", "shard": True}, OptionError, "`shard` needs a backbone of a plugin"),
    ],
)
def test_what_does_not_work_is_refused(options: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        resolve(build_acme(None), **options)


def test_a_network_that_cannot_process_the_image_names_the_option() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(3 * 8 * 8, 2))
    with pytest.raises(OptionError, match=r"cannot process images of 3x16x16: RuntimeError.*set `image_size`"):
        resolve(model)
    assert resolve(model, image_size=8).backbone.head == ("1",)


def test_a_network_without_parameters_but_those_of_its_head_has_no_blocks() -> None:
    resolved = resolve(nn.Sequential(nn.Flatten(), nn.Linear(768, 2)))
    assert resolved.origin is not None
    assert resolved.origin.blocks == {}
