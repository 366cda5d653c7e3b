"""`zoo.inspect` shows the modules of a backbone, a run or a module, and what is trained."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import zoo
from zoo.errors import NameNotFound, OptionError
from zoo.models.inspected import Inspection, ModuleInfo
from zoo.plugin import BackboneSpec, BlockSpec
from zoo.registry.plugins.load import Plugin
from zoo.registry.registry import Registry
from zoo.registry.registry_toml import RegistryToml
from zoo.runs.inspect import inspect
from zoo.training.finetune import finetune


def find(found: Inspection, path: str) -> ModuleInfo:
    return next(info for info in found.root.walk() if info.path == path)


def test_a_backbone_has_the_modules_shapes_and_parameters_of_its_model(registry: Registry, acme: BackboneSpec) -> None:
    found, model = inspect("net", registry=registry), acme.build(None)
    assert [info.path for info in found.root.walk()] == [name for name, _ in model.named_modules()]
    assert find(found, "stem.0").outputs == ((1, 8, 8, 8),)
    assert find(found, "classifier").outputs == ((1, 10),)
    assert found.root.params == sum(parameter.numel() for parameter in model.parameters()) == acme.params
    assert (found.input, found.head) == ((3, 16, 16), ("classifier.3",))
    assert found.blocks == ("stem", "layer1", "layer2", "hidden")


@pytest.mark.parametrize(
    ("train", "states"),
    [
        (None, ["frozen", "frozen", "frozen", "trainable"]),
        ("from:layer2", ["frozen", "trainable", "trainable", "trainable"]),
        ("gradual", ["trainable"] * 4),
    ],
)
def test_the_state_of_a_module_follows_from_the_scope(registry: Registry, train: str | None, states: list[str]) -> None:
    found = inspect("net", train=train, registry=registry)
    paths = ("layer1.0", "layer2", "classifier.0", "classifier.3")
    assert [find(found, path).state for path in paths] == states
    assert find(found, "pool").state == ""


def test_blocks_and_the_head_are_marked(registry: Registry) -> None:
    found = inspect("net", registry=registry)
    paths = ("layer1.1", "classifier.0", "classifier", "classifier.3")
    assert [find(found, path).block for path in paths] == ["layer1", "hidden", None, None]
    assert [info.path for info in found.root.walk() if info.is_head] == ["classifier.3"]


def test_an_inspection_changes_neither_random_numbers_nor_grad_modes(registry: Registry) -> None:
    state = torch.get_rng_state()
    inspect("net", registry=registry)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.is_grad_enabled()


def test_depth_limits_the_levels(registry: Registry) -> None:
    found = inspect("net", depth=1, registry=registry)
    assert [info.path for info in found.root.walk()][:3] == ["", "stem", "layer1"]
    with pytest.raises(OptionError, match="`depth` must be at least 1, got 0"):
        inspect("net", depth=0, registry=registry)


def test_an_unknown_block_is_an_error_that_lists_the_blocks(registry: Registry) -> None:
    with pytest.raises(NameNotFound, match=r"no block 'layer9'; the blocks .* are stem, layer1, layer2, hidden"):
        inspect("net", train="from:layer9", registry=registry)


class Tokens(nn.Module):
    """A network with a parameter of its own, and with one that belongs to its head but to no layer."""

    def __init__(self) -> None:
        super().__init__()
        self.token = nn.Parameter(torch.zeros(1, 4))
        self.scale = nn.Parameter(torch.ones(()), requires_grad=False)
        self.stem = nn.Linear(4, 4)
        self.head = nn.Linear(4, 2)

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.head(self.stem(images.mean((2, 3)) + self.token)) * self.scale
        return logits


def test_a_parameter_that_belongs_to_no_child_has_a_line_of_its_own() -> None:
    found = inspect(Tokens(), size=(4, 8, 8))
    assert [(own.path, own.shape, own.params, own.trainable) for own in found.root.parameters] == [
        ("token", (1, 4), 4, 4),
        ("scale", (), 1, 0),
    ]
    assert [info.parameters for info in found.root.children] == [(), ()]
    lines = [line.split() for line in found.list_lines()]
    assert [line[0] for line in lines[2:]] == ["(network)", "token", "scale", "stem", "head"]
    assert lines[3][:5] == ["token", "Parameter", "1x4", "4", "trainable"]
    assert lines[4][:4] == ["scale", "Parameter", "1", "frozen"]


def test_a_parameter_of_its_own_has_a_block_or_belongs_to_the_head(acme: BackboneSpec) -> None:
    def build(_tag: str | None) -> nn.Module:
        return Tokens()

    spec = replace(
        acme,
        build=build,
        head=("head",),
        head_parameters=("scale",),
        blocks=(BlockSpec("stem", ("stem", "token")),),
        classifier=None,
        input=replace(acme.input, size=(4, 8, 8), mean=(0.5,) * 4, std=(0.5,) * 4),
        first_conv=None,
        supports=(),
    )
    plugin = Plugin("acme", "zoo-acme", "1.0", backbones=(spec,))
    found = inspect("net", registry=Registry([plugin], RegistryToml()))
    assert [(own.path, own.block, own.is_head) for own in found.root.parameters] == [
        ("token", "stem", False),
        ("scale", None, True),
    ]


class Odd(nn.Module):
    """A network with a module under two names, one that is called twice, and one that is never called."""

    def __init__(self) -> None:
        super().__init__()
        self.act = nn.ReLU()
        self.same = self.act
        self.spare = nn.Linear(2, 2)
        self.direct = nn.Linear(3, 3)
        self.fc = nn.Linear(3, 5)

    def forward(self, images: Tensor) -> Tensor:
        values = nn.functional.linear(images.mean((2, 3)), self.direct.weight)
        logits: Tensor = self.fc(self.act(self.same(values)))
        return logits


def test_modules_that_are_called_twice_or_never_are_marked() -> None:
    lines = repr(inspect(Odd(), size=(3, 8, 8))).splitlines()
    assert lines[0] == "Odd: 38 of 38 parameters are trainable (input 1x3x8x8)"
    notes = {line.split()[0]: line for line in lines}
    assert notes["act"].endswith("called 2 times")
    assert "same module as act" in notes["same"]
    assert notes["spare"].endswith("  never called")
    assert notes["direct"].endswith("never called, but its parameters are used")
    assert notes["fc"].endswith("head")


def test_a_module_shows_its_own_requires_grad() -> None:
    model = Odd()
    model.spare.requires_grad_(requires_grad=False)
    found = inspect(model, size=(3, 8, 8))
    assert (find(found, "spare").state, find(found, "fc").state, found.train) == ("frozen", "trainable", None)
    found = inspect(model, size=(3, 8, 8), train="head")
    assert [info.path for info in found.root.walk() if info.state == "trainable"] == ["fc"]


def test_a_module_that_cannot_process_the_image_is_shown_without_shapes() -> None:
    found = inspect(Odd(), size=(4, 8, 8))
    assert found.problem is not None
    assert f"no output shapes: {found.problem}" in repr(found)
    assert find(found, "fc").calls is None
    with pytest.raises(OptionError, match="Odd cannot process an image of 4x8x8"):
        inspect(Odd(), size=(4, 8, 8), train="head")


def test_a_backbone_that_needs_values_runs_on_the_cpu(acme: BackboneSpec) -> None:
    class Branching(nn.Sequential):
        def forward(self, images: Tensor) -> Tensor:
            return super().forward(images) if images.sum().item() == 0 else images

    spec = replace(acme, build=lambda tag: Branching(*[*acme.build(tag).children()]), head=("5.3",), classifier=None)
    spec = replace(spec, blocks=tuple(replace(block, prefixes=("5.0",)) for block in acme.blocks[3:]))  # type: ignore[index]
    spec = replace(spec, blocks=(*spec.blocks, replace(spec.blocks[0], name="rest", prefixes=("0", "1", "2"))))  # type: ignore[index,misc]
    registry = Registry([Plugin("acme", "zoo-acme", "1.0", backbones=(spec,))], RegistryToml())
    assert find(inspect("net", registry=registry), "5").outputs == ((1, 10),)


def test_a_run_shows_its_own_head_and_what_it_trained(train_once: Callable[..., Path], registry: Registry) -> None:
    folder = train_once(weights="none", epochs=1, train="from:layer2", head="mlp:7", workers=0, device="cpu")
    found = inspect(folder, registry=registry)
    assert (found.train, found.head) == ("from:layer2", ("classifier",))
    assert find(found, "classifier.0").outputs == ((1, 7),)
    assert find(found, "classifier").outputs == ((1, 2),)
    assert (find(found, "layer1").state, find(found, "layer2").state) == ("frozen", "trainable")
    assert inspect(folder, train="head", registry=registry).train == "head"


def test_the_public_name_is_this_function() -> None:
    assert zoo.inspect is inspect


def test_a_backbone_that_cannot_be_built_on_the_meta_device_is_built_on_the_cpu(acme: BackboneSpec) -> None:
    def build(tag: str | None) -> nn.Module:
        model = acme.build(tag)
        assert model.get_parameter("stem.0.weight").mean().item() < 1  # fails on the meta device
        return model

    spec = replace(acme, build=build, unsupported={"meta": "its builder reads values"})
    with_values = Registry([Plugin("acme", "zoo-acme", "1.0", backbones=(spec,))], RegistryToml())
    found = inspect("net", registry=with_values)
    assert find(found, "classifier").outputs == ((1, 10),)
    assert found.root.params == acme.params


def test_a_run_with_other_channels_is_built_once_and_on_the_meta_device(
    acme: BackboneSpec, photos: Path, tmp_path: Path
) -> None:
    devices, output = [], tmp_path / "run"

    def build(tag: str | None) -> nn.Module:
        model = acme.build(tag)
        devices.append(model.get_parameter("stem.0.weight").device.type)
        return model

    spec = replace(acme, build=build, first_conv="stem.0", supports=("channels",))
    adaptable = Registry([Plugin("acme", "zoo-acme", "1.0", backbones=(spec,))], RegistryToml())
    options = {"weights": "none", "channels": 1, "epochs": 1, "train": "all", "workers": 0, "device": "cpu"}
    finetune("net", photos, output=output, registry=adaptable, **options)
    devices.clear()
    found = inspect(output, registry=adaptable)
    assert devices == ["meta"]
    assert (found.input, find(found, "stem.0").params) == ((1, 16, 16), 8 * 9 + 8)
