"""A plugin for version 1 of the contract, which uses everything that this version had, works and keeps its promises."""

from __future__ import annotations

import sys
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from zoo.models.build import build
from zoo.registry.plugins.discovery import discover_plugins
from zoo.registry.registry import Registry
from zoo.registry.registry_toml import RegistryToml
from zoo.testing.plugin_under_test import examine
from zoo.testing.results.result import BAD
from zoo.testing.runner import Scope, check_backbone, check_plugin

Shelf = Any  # the class in conftest.py, which cannot be imported

SOURCE = """
from pathlib import Path

from zoo.plugin import (
    API_VERSION, BackboneSpec, BlockSpec, Capability, Crop, DatasetSpec, Hooks, InputSpec, Interpolation, SourceSpec,
    WeightsSpec, checks_deferred, hookimpl,
)

ZOO_API = 1
EVENTS = []


def build(tag):
    import kit_nets

    return kit_nets.Net(5)


def convert(tag, tensors, strict=False):
    assert strict is False
    return {name.removeprefix("net."): tensor for name, tensor in tensors.items()}


def make(folder):
    from PIL import Image

    for number, name in enumerate(("dark", "light")):
        (folder / name).mkdir()
        Image.new("RGB", (4, 4), (200 * number,) * 3).save(folder / name / "0.png")


with checks_deferred():
    INPUT = InputSpec(
        size=(3, 16, 16), resize=16, crop="squash", interpolation="bicubic", mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5),
        min_size=8, bits=None,
    )
WEIGHTS = WeightsSpec(
    tag="V1", url=Path(__file__).with_name("v1.safetensors").as_uri(), licence="MIT", size=3000,
    sha256="SHA256", num_classes=5, accuracy=71.6, input=INPUT, lacks=("unused",), logits=(),
)


def spec(name):
    return BackboneSpec(
        name=name, family="f", build=build, head=lambda model: ("classifier.1",),
        blocks=lambda model: (BlockSpec("stem", ("stem",)), BlockSpec("hidden", ("classifier.0",))),
        params=165, license="MIT", input=INPUT, weights=(WEIGHTS,), num_classes=5, classifier="classifier",
        aux_heads=(), aux_weight=0.0, convert=convert, upstream="click==1.0",
        constructor="kit_nets.Net({num_classes})", supports=("image_sizes", "bf16", "export"),
        unsupported={"compile": "not tried"}, expected_failures={},
    )


@hookimpl
def zoo_backbones():
    yield spec("NAMESPACE/net")


@hookimpl
def zoo_find_backbone(name):
    return spec(f"NAMESPACE/{name}") if name == "unlisted" else None


@hookimpl
def zoo_datasets():
    return [DatasetSpec(name="NAMESPACE/d", description="d", license="MIT", make=make, citation="A. 2026.")]


@hookimpl
def zoo_data_sources():
    return [SourceSpec(prefix="NAMESPACE-album", description="albums", fetch=lambda name, folder: folder)]


@hookimpl
def zoo_run_started(run):
    EVENTS.append("started")


@hookimpl
def zoo_epoch_ended(run, epoch):
    EVENTS.append("epoch")


@hookimpl
def zoo_run_finished(run):
    EVENTS.append("finished")
"""

NETWORK = """
from torch import nn


class Net(nn.Module):
    def __init__(self, num_classes):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU())
        self.pool = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.classifier = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, num_classes))

    def forward(self, images):
        return self.classifier(self.pool(self.stem(images)))
"""


@pytest.fixture(name="namespace")
def _namespace(shelf: Shelf) -> str:
    from zoo.files.download import sha256_of

    (shelf.folder / "kit_nets.py").write_text(NETWORK)
    sys.modules.pop("kit_nets", None)
    torch.manual_seed(0)
    module: dict[str, Any] = {}
    exec(NETWORK, module)
    weights = shelf.folder / "v1.safetensors"
    state = {f"net.{name}": tensor for name, tensor in module["Net"](5).state_dict().items()}
    save_file({**state, "net.unused": torch.ones(1)}, weights)
    shelf.add_module("first", SOURCE.replace("SHA256", sha256_of(weights)))
    record = shelf.folder / "zoo_first-1.5.dist-info" / "RECORD"
    record.write_text("v1.safetensors,,\n")
    return "first"


def test_its_plugin_is_loaded_with_everything_that_it_provides(namespace: str) -> None:
    plugin = next(plugin for plugin in discover_plugins() if plugin.namespace == namespace)
    assert (plugin.state, plugin.reason) == ("ok", "")
    counts = len(plugin.backbones), len(plugin.datasets), len(plugin.sources)
    assert counts == (1, 1, 1)
    assert plugin.backbones[0].weights[0].license == "MIT"


def test_its_weights_are_converted_and_loaded(namespace: str) -> None:
    plugins = [plugin for plugin in discover_plugins() if plugin.namespace == namespace]
    model = build(f"{namespace}/net", registry=Registry(plugins, RegistryToml()))
    torch.manual_seed(0)
    saved: dict[str, Any] = {}
    exec(NETWORK, saved)
    wanted = saved["Net"](5).state_dict()
    assert all(torch.equal(tensor, wanted[name]) for name, tensor in model.state_dict().items())


@pytest.mark.breadth
def test_it_passes_every_check(namespace: str) -> None:
    plugin = examine(namespace)
    backbone = plugin.get_backbone(f"{namespace}/net")
    results = [*check_plugin(plugin), *check_backbone(plugin, backbone, Scope("network"))]
    assert [result for result in results if result.status in BAD] == []
    assert {result.check for result in results if result.status == "not-run"} == set()
    passed = {result.check for result in results if result.status == "pass"}
    assert {"plugin.api", "build.upstream", "weights.converted", "weights.fit", "can.export", "plugin.drawn"} <= passed
