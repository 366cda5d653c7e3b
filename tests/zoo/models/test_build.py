from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from made_registries import registry_of
from published import ONE, TWO
from recording_progress import RecordingProgress
from zoo.errors import OptionError, PluginError, WeightsError
from zoo.models.build import Network, attach_head, build, build_backbone, build_model, try_network
from zoo.models.head import Head
from zoo.models.weights.choose import WeightsSource
from zoo.plugin import BackboneSpec, InputSpec
from zoo.registry.head_design import HeadDesign

# Building.


def test_build_keeps_the_head_of_the_file(acme: BackboneSpec, source: dict[str, Tensor], tmp_path: Path) -> None:
    source |= {"classifier.3.weight": torch.rand(7, 12), "classifier.3.bias": torch.rand(7)}
    save_file(source, tmp_path / "seven.safetensors")
    model = build("net", weights=str(tmp_path / "seven.safetensors"), registry=registry_of(acme))
    assert all(torch.equal(tensor, source[name]) for name, tensor in model.state_dict().items())
    assert model.training


def test_build_with_num_classes_replaces_the_head_and_loads_the_rest(
    acme: BackboneSpec, source: dict[str, Tensor], tmp_path: Path
) -> None:
    save_file(source, tmp_path / "net.safetensors")
    model = build("net", num_classes=3, weights=str(tmp_path / "net.safetensors"), registry=registry_of(acme))
    assert model.get_submodule("classifier.3").out_features == 3
    assert torch.equal(model.get_submodule("layer2.0").weight, source["layer2.0.weight"])
    mlp = build("net", num_classes=3, weights="none", head="mlp:6", registry=registry_of(acme))
    assert [type(layer).__name__ for layer in mlp.get_submodule("classifier")] == [
        "Linear", "ReLU", "Dropout", "Linear"
    ]  # fmt: skip


def test_build_refuses_an_invalid_head_before_it_reads_weights(acme: BackboneSpec) -> None:
    with pytest.raises(OptionError, match="invalid `head` 'deep'"):
        build("net", weights="nowhere.safetensors", head="deep", registry=registry_of(acme))


def test_a_missing_file_is_an_error_with_its_name(acme: BackboneSpec) -> None:
    with pytest.raises(WeightsError, match=r"nowhere\.safetensors"):
        build("net", weights="nowhere.safetensors", registry=registry_of(acme))


def test_a_backbone_is_built_with_its_initial_weights_and_reports_remarks(
    published: BackboneSpec, source: dict[str, Tensor], tmp_path: Path
) -> None:
    rest = {name: tensor for name, tensor in source.items() if not name.startswith("classifier.3.")}
    save_file(rest, tmp_path / "two.safetensors")
    weights = replace(TWO, url=(tmp_path / "two.safetensors").as_uri())
    spec = replace(published, weights=(ONE, weights))
    notes = RecordingProgress()
    model, _ = build_backbone(spec, WeightsSource("TWO", "TWO", weights=weights), notes)
    assert torch.equal(model.get_submodule("stem.0").weight, source["stem.0.weight"])
    assert notes.lines == ["note: these weights have no head; the head is initialized randomly, like any new head"]


@pytest.mark.parametrize(("design", "path"), [("linear", "classifier.3"), ("mlp:6", "classifier")])
def test_a_network_has_a_new_head_and_the_input_of_its_weights(published: BackboneSpec, design: str, path: str) -> None:
    model = published.build(None)
    network = attach_head(published, WeightsSource("TWO", "TWO", weights=TWO), model, design, 3)
    assert (network.model, network.input, str(network.design)) == (model, TWO.input, design)
    assert network.head.paths == (path,)
    assert model.eval()(torch.rand(1, 3, 16, 16)).shape == (1, 3)


def test_a_model_with_version_metadata_loads_from_safetensors(tmp_path: Path) -> None:
    torchvision = pytest.importorskip("torchvision")
    from zoo_torchvision import zoo_backbones

    spec = next(spec for spec in zoo_backbones() if spec.name == "torchvision/mnasnet0_5")
    source = torchvision.models.mnasnet0_5().state_dict()
    save_file(dict(source), tmp_path / "mnasnet.safetensors")
    model = build("mnasnet0_5", weights=str(tmp_path / "mnasnet.safetensors"), registry=registry_of(spec))
    assert all(torch.equal(tensor, source[name]) for name, tensor in model.state_dict().items())


@pytest.mark.parametrize(
    ("build", "reason"),
    [
        (lambda _tag: 1 / 0, "cannot be built: ZeroDivisionError"),
        (lambda _tag: None, r"its build returns a NoneType, not an nn.Module \(.*test_build.py:\d+\)"),
    ],
)
def test_a_failure_to_build_is_a_plugin_error(build: Any, reason: str, acme: BackboneSpec) -> None:
    with pytest.raises(PluginError, match=reason):
        build_model(replace(acme, build=build), None)


@pytest.mark.parametrize(
    ("size", "layers", "reason"),
    [
        ((3, 16, 16), lambda: nn.Sequential(nn.Conv2d(3, 2, 1)), r"outputs \(1, 2, 16, 16\) for one image"),
        ((3, 8, 8), lambda: nn.Sequential(nn.Flatten(), nn.Linear(3 * 256, 2)), "cannot process an image of 3x8x8"),
    ],
)
def test_one_image_shows_that_a_model_does_not_match_its_spec(
    size: tuple[int, int, int], layers: Any, reason: str, acme: BackboneSpec
) -> None:
    spec = replace(acme, input=InputSpec(size=size))
    network = Network(spec, WeightsSource("none"), HeadDesign(), layers(), Head(("0",)))
    with pytest.raises(PluginError, match=reason):
        try_network(network, 2, torch.device("cpu"))


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"head": "mlp:3"}, "needs num_classes"),
        ({"num_classes": 0}, "num_classes must be a whole number of at least 1, got 0"),
        ({"num_classes": 2.5}, "num_classes must be a whole number of at least 1, got 2.5"),
    ],
)
def test_build_refuses_invalid_arguments(options: dict[str, Any], reason: str, acme: BackboneSpec) -> None:
    with pytest.raises(OptionError, match=reason):
        build("acme/net", weights="none", registry=registry_of(acme), **options)
