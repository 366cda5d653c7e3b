from __future__ import annotations

from collections import OrderedDict
from dataclasses import replace

import pytest
import torch
from torch import nn

from zoo.errors import PluginError
from zoo.models.blocks import list_blocks, list_trainable
from zoo.models.head import Head, get_head, replace_head
from zoo.plugin import BackboneSpec, BlockSpec
from zoo.registry.head_design import HeadDesign
from zoo.registry.train_scope import TrainScope
from zoo_torchvision import zoo_backbones

LINEAR = HeadDesign()
TORCHVISION = {spec.name.removeprefix("torchvision/"): spec for spec in zoo_backbones()}


class TwoHeads(nn.Module):
    """Two heads on one trunk, with averaged logits, as in distilled transformers."""

    def __init__(self) -> None:
        super().__init__()
        self.trunk = nn.Linear(6, 8)
        self.head = nn.Linear(8, 5)
        self.head_dist = nn.Linear(8, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        features = self.trunk(x).relu()
        mean: torch.Tensor = (self.head(features) + self.head_dist(features)) / 2
        return mean


@pytest.fixture
def two_heads(acme: BackboneSpec) -> BackboneSpec:
    return replace(
        acme, name="acme/two", build=lambda _tag: TwoHeads(), head=("head", "head_dist"), classifier=None, num_classes=5
    )


def get_weights(model: nn.Module, paths: tuple[str, ...]) -> dict[str, torch.Tensor]:
    return {path: model.get_submodule(path).weight.detach().clone() for path in paths}


def assert_head_keeps_the_logits(spec: BackboneSpec, images: torch.Tensor) -> None:
    """Replace the heads, load upstream's own values into the new ones, and compare the logits bit for bit."""
    torch.manual_seed(0)
    model = spec.build(None).eval()
    with torch.inference_mode():
        wanted = model(images)
    state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    paths = (*spec.head, *spec.aux_heads) if isinstance(spec.head, tuple) else ()
    before = get_weights(model, paths)
    replace_head(spec, model, spec.num_classes, LINEAR)
    after = get_weights(model, paths)
    assert paths
    assert not any(torch.equal(before[path], after[path]) for path in paths)  # the heads are new
    model.load_state_dict(state)
    with torch.inference_mode():
        assert torch.equal(model.eval()(images), wanted)


def test_a_linear_head_with_the_old_values_outputs_the_old_logits(acme: BackboneSpec) -> None:
    assert_head_keeps_the_logits(acme, torch.rand(2, 3, 16, 16))


def test_two_heads_with_the_old_values_output_the_old_logits(two_heads: BackboneSpec) -> None:
    assert_head_keeps_the_logits(two_heads, torch.rand(2, 6))


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("squeezenet1_1", 64),  # its head is a convolution
        ("mobilenet_v3_small", 32),  # the head is the last layer of a classifier
    ],
)
def test_heads_of_torchvision_with_the_old_values_output_the_old_logits(name: str, size: int) -> None:
    assert_head_keeps_the_logits(TORCHVISION[name], torch.rand(1, 3, size, size))


@pytest.mark.parametrize(
    ("name", "heads"),
    [
        ("googlenet", ("fc", "aux1.fc2", "aux2.fc2")),
        ("inception_v3", ("fc", "AuxLogits.fc")),
    ],
)
def test_auxiliary_heads_are_replaced_too(name: str, heads: tuple[str, ...]) -> None:
    with torch.device("meta"):
        model = TORCHVISION[name].build("IMAGENET1K_V1")
        head = replace_head(TORCHVISION[name], model, 7, LINEAR)
    assert head == Head((heads[0],), heads[1:])
    assert [model.get_submodule(path).out_features for path in heads] == [7] * len(heads)


def test_auxiliary_logits_have_the_new_number_of_classes_in_training_mode() -> None:
    torch.manual_seed(0)
    spec = TORCHVISION["googlenet"]
    model = spec.build("IMAGENET1K_V1")  # with a tag, upstream skips its slow initialization
    replace_head(spec, model, 7, LINEAR)
    with torch.inference_mode():
        outputs = model.train()(torch.rand(2, 3, 64, 64))
    assert [tuple(output.shape) for output in outputs] == [(2, 7)] * 3


@pytest.mark.parametrize("design", ["linear", "mlp:16"])
def test_the_rest_of_the_model_keeps_its_names_shapes_dtypes_types_and_values(acme: BackboneSpec, design: str) -> None:
    model = acme.build(None)
    tensors = {name: (tensor, tensor.clone()) for name, tensor in model.state_dict(keep_vars=True).items()}
    modules = dict(model.named_modules())
    head = replace_head(acme, model, 3, HeadDesign.parse(design))
    rest = {name for name in tensors if not head.covers(name)}
    found = model.state_dict(keep_vars=True)
    assert {name for name in found if not head.covers(name)} == rest
    for name in rest:
        assert found[name] is tensors[name][0]
        assert torch.equal(found[name], tensors[name][1])
    for name, module in model.named_modules():
        assert head.covers(name) or module is modules[name]


def test_a_linear_head_keeps_upstream_s_names_and_changes_only_its_number_of_rows(acme: BackboneSpec) -> None:
    model = acme.build(None)
    shapes = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    assert replace_head(acme, model, 3, LINEAR) == Head(("classifier.3",))
    shapes |= {"classifier.3.weight": (3, 12), "classifier.3.bias": (3,)}
    assert {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()} == shapes


def test_mlp_4096_4096_on_vgg16_is_the_original_classifier_with_the_same_names() -> None:
    with torch.device("meta"):
        model = TORCHVISION["vgg16"].build("IMAGENET1K_V1")
        head = replace_head(TORCHVISION["vgg16"], model, 2, HeadDesign((4096, 4096)))
        classic = nn.Sequential(
            nn.Linear(25088, 4096),
            nn.ReLU(inplace=True),
            nn.Dropout(0.5),
            nn.Linear(4096, 4096),
            nn.ReLU(inplace=True),
            nn.Dropout(0.5),
            nn.Linear(4096, 2),
        )
    assert head == Head(("classifier",))
    assert repr(model.classifier) == repr(classic)
    ours = [name for name in model.state_dict() if name.startswith("classifier.")]
    assert ours == [f"classifier.{n}.{kind}" for n in (0, 3, 6) for kind in ("weight", "bias")]


def test_mlp_replaces_the_last_layer_if_no_classifier_is_declared(acme: BackboneSpec) -> None:
    spec = replace(acme, classifier=None)
    model = spec.build(None).eval()
    head = replace_head(spec, model, 3, HeadDesign((7, 5)))
    assert head == Head(("classifier.3",))
    assert [(layer.in_features, layer.out_features) for layer in model.classifier[3] if hasattr(layer, "weight")] == [
        (12, 7), (7, 5), (5, 3)
    ]  # fmt: skip
    assert model(torch.rand(2, 3, 16, 16)).shape == (2, 3)


def test_mlp_on_a_convolutional_head_outputs_one_logit_per_class() -> None:
    spec = TORCHVISION["squeezenet1_1"]
    model = spec.build("IMAGENET1K_V1").eval()
    replace_head(spec, model, 3, HeadDesign((6,)))
    with torch.inference_mode():
        assert model(torch.rand(1, 3, 64, 64)).shape == (1, 3)


def test_each_of_two_heads_gets_its_own_mlp(two_heads: BackboneSpec) -> None:
    model = two_heads.build(None)
    head = replace_head(two_heads, model, 3, HeadDesign((4,)))
    assert head == Head(("head", "head_dist"))
    assert model(torch.rand(2, 6)).shape == (2, 3)
    assert not torch.equal(model.head[0].weight, model.head_dist[0].weight)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
@pytest.mark.parametrize("design", ["linear", "mlp:5"])
def test_a_new_head_keeps_dtype_and_device(acme: BackboneSpec, dtype: torch.dtype, design: str) -> None:
    model = acme.build(None).to("meta", dtype)
    head = replace_head(acme, model, 3, HeadDesign.parse(design))
    new = [tensor for name, tensor in model.named_parameters() if head.covers(name)]
    assert new
    assert {(tensor.dtype, tensor.device.type) for tensor in new} == {(dtype, "meta")}


@pytest.mark.parametrize("layer", [nn.Linear(4, 10, bias=False), nn.Conv2d(4, 10, 1, bias=False)])
@pytest.mark.parametrize("design", ["linear", "mlp:5"])
def test_a_new_head_has_no_bias_if_the_old_one_has_none(acme: BackboneSpec, layer: nn.Module, design: str) -> None:
    spec = replace(acme, head=("fc",), classifier=None)
    model = nn.Sequential(OrderedDict(fc=layer))
    replace_head(spec, model, 3, HeadDesign.parse(design))
    assert not [name for name in model.state_dict() if name.endswith("bias")]


def test_a_convolutional_head_keeps_stride_padding_and_dilation(acme: BackboneSpec) -> None:
    spec = replace(acme, head=("fc",), classifier=None)
    model = nn.Sequential(OrderedDict(fc=nn.Conv2d(4, 10, 3, stride=2, padding=2, dilation=2)))
    wanted = model(torch.rand(1, 4, 8, 8)).shape
    replace_head(spec, model, 10, LINEAR)
    assert model(torch.rand(1, 4, 8, 8)).shape == wanted


def test_a_head_can_be_found_by_a_function(acme: BackboneSpec) -> None:
    spec = replace(acme, head=lambda model: (f"classifier.{len(model.classifier) - 1}",))
    assert get_head(spec, spec.build(None)) == Head(("classifier.3",))


def test_a_head_covers_everything_below_it_and_nothing_next_to_it() -> None:
    head = Head(("fc",), ("aux.fc",))
    assert all(head.covers(name) for name in ("fc", "fc.weight", "fc.0.bias", "aux.fc.weight"))
    assert not any(head.covers(name) for name in ("fc2.weight", "aux", "aux.conv.weight", "layer.fc.weight", ""))


@pytest.mark.parametrize(
    "wrong",
    [
        {"head": ("classifer.3",)},
        {"head": ("classifier.9",)},
        {"head": ("classifier.1",)},  # a ReLU
        {"head": ("classifier",)},  # a Sequential
        {"aux_heads": ("aux.fc",)},
        {"head": lambda _model: ("nowhere",)},
    ],
)
def test_a_wrong_path_is_an_error_and_leaves_the_model_unchanged(acme: BackboneSpec, wrong: dict[str, object]) -> None:
    spec = replace(acme, **wrong)
    model = spec.build(None)
    before = repr(model)
    value = next(iter(wrong.values()))
    path = (value(model) if callable(value) else value)[0]  # type: ignore[index]
    with pytest.raises(PluginError, match=rf"acme/net.*'{path}'"):
        replace_head(spec, model, 3, LINEAR)
    assert repr(model) == before


@pytest.mark.parametrize(
    ("path", "says"),
    [("pool", "which contains no linear or convolutional layer"), ("clasifier", "but its model has no such layer")],
)
def test_a_classifier_that_is_missing_or_has_no_layer_is_an_error(acme: BackboneSpec, path: str, says: str) -> None:
    spec = replace(acme, classifier=path)
    with pytest.raises(PluginError, match=rf"acme/net declares .*'{path}', {says}"):
        replace_head(spec, spec.build(None), 3, HeadDesign((4,)))


class Scaled(nn.Module):
    """A network whose classifier contains one of two parameters of the head."""

    def __init__(self) -> None:
        super().__init__()
        self.trunk = nn.Linear(6, 8)
        self.head = nn.Sequential(nn.Linear(8, 8), nn.Linear(8, 5))
        self.head.register_parameter("gamma", nn.Parameter(torch.ones(1)))
        self.scale = nn.Parameter(torch.ones(1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.head(self.trunk(x)) * self.head.gamma * self.scale
        return logits


@pytest.fixture
def scaled(acme: BackboneSpec) -> BackboneSpec:
    blocks = BlockSpec("trunk", ("trunk",)), BlockSpec("hidden", ("head.0",))
    return replace(
        acme,
        build=lambda _tag: Scaled(),
        head=("head.1",),
        head_parameters=("scale", "head.gamma"),
        classifier="head",
        blocks=blocks,
        num_classes=5,
    )


def test_parameters_of_the_head_belong_to_it_and_are_trained_with_it(scaled: BackboneSpec) -> None:
    model = scaled.build(None)
    head = get_head(scaled, model)
    assert (head.trained, head.layers) == (("head.1", "scale", "head.gamma"), ("head.1",))
    assert head.covers("scale")
    blocks = list_blocks(scaled, model, head)
    assert [block.name for block in blocks] == ["trunk", "hidden"]
    assert list_trainable(blocks, head, TrainScope.parse("head")) == head.trained
    assert list_trainable(blocks, head, TrainScope.parse("from:hidden")) == ("head.0", *head.trained)


def test_a_new_head_keeps_the_parameters_outside_of_the_layers_that_it_replaces(scaled: BackboneSpec) -> None:
    for design, parameters in ((LINEAR, ("scale", "head.gamma")), (HeadDesign((4,)), ("scale",))):
        model = scaled.build(None)
        before = dict(model.named_parameters())
        head = replace_head(scaled, model, 3, design)
        assert head.parameters == parameters
        assert all(model.get_parameter(name) is before[name] for name in parameters)


@pytest.mark.parametrize(
    ("names", "says"),
    [
        (
            ("gamma",),
            r"head parameter 'gamma', but its model has no such parameter; similar parameters are head\.gamma",
        ),
        (("temperature",), "no such parameter; similar parameters are scale"),
        (("head.1.bias",), r"head parameter 'head\.1\.bias', which is part of a layer of the head; remove it"),
        (("head.1",), r"head parameter 'head\.1', which is part of a layer of the head; remove it"),
    ],
)
def test_a_wrong_parameter_of_the_head_is_an_error(scaled: BackboneSpec, names: tuple[str, ...], says: str) -> None:
    with pytest.raises(PluginError, match=says):
        get_head(replace(scaled, head_parameters=names), scaled.build(None))


def test_a_parameter_of_the_head_in_a_block_is_an_error(scaled: BackboneSpec) -> None:
    spec, model = replace(scaled, blocks=(*scaled.blocks, BlockSpec("scale", ("scale",)))), scaled.build(None)
    with pytest.raises(PluginError, match="parameter scale is in scale and the head"):
        list_blocks(spec, model, get_head(spec, model))
