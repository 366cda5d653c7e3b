from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from made_registries import registry_of
from recording_progress import RecordingProgress
from zoo.data.dataset import Images, open_images
from zoo.engine.device import choose_hardware
from zoo.engine.metrics import Epoch
from zoo.models.blocks import list_blocks
from zoo.models.build import Network
from zoo.models.head import Head, replace_head
from zoo.models.selection import Selection, select
from zoo.models.weights.choose import WeightsSource
from zoo.plugin import BackboneSpec, WeightsSpec
from zoo.progress import Silent
from zoo.registry.data_options import DataOptions
from zoo.registry.head_design import HeadDesign
from zoo.registry.recipe import Recipe
from zoo.registry.registry import Registry
from zoo.registry.train_scope import TrainScope
from zoo.runs.facts import describe_blocks, list_facts
from zoo.runs.folder import HISTORY, RUN, RunFolder
from zoo.runs.record import Record, measure_split

EPOCH = Epoch(1, 0.7, 0.5, 0.6, 0.8, 0.01, 1.2, 1.5)


@pytest.fixture
def images(photos: Path, registry: Registry) -> Images:
    return open_images(photos, DataOptions(), registry=registry, progress=Silent())


@pytest.fixture
def network(acme: BackboneSpec) -> Network:
    torch.manual_seed(0)
    model = acme.build(None)
    head = replace_head(acme, model, 2, HeadDesign())
    return Network(acme, WeightsSource("none"), HeadDesign(), model, head)


def test_the_fields_suffice_to_repeat_a_run(network: Network, images: Images) -> None:
    recipe = Recipe(weights="none", optimizer="sgd", seed=3)
    facts = list_facts(network, recipe, choose_hardware("cpu"), images)
    assert facts["backbone"] == "acme/net"
    assert facts["weights"] == {"label": "none", "url": None, "license": None}
    assert facts["classes"] == ["blue", "red"]
    assert facts["recipe"]["seed"] == 3
    # The recipe has the default values, not None.
    assert (facts["recipe"]["lr"], facts["recipe"]["weight_decay"]) == (0.05, 1e-4)
    assert facts["data"]["images"] == {"train": 24, "val": 10, "test": 0}
    assert facts["data"]["fingerprint"] == images.fingerprint
    assert facts["hardware"]["device"] == "cpu"
    assert facts["hardware"]["precision"] == "fp32"
    assert facts["versions"]["torch"] == torch.__version__
    assert json.loads(json.dumps(facts)) == json.loads(json.dumps(facts, default=str))


def test_the_fields_contain_a_recipe_for_the_same_run(network: Network, images: Images) -> None:
    recipe = Recipe(weights="none", head="mlp:3", train="all", patience=2)
    facts = json.loads(json.dumps(list_facts(network, recipe, choose_hardware("cpu"), images)))
    assert Recipe(**facts["recipe"]) == replace(recipe, **recipe.list_decided())
    assert recipe.list_decided() == {
        "augment": "crop-flip",
        "views": 0,
        "lr": 3e-4,
        "weight_decay": 0.01,
        "save_every": None,
        "momentum": None,
        "betas": "0.9,0.999",
        "eps": 1e-8,
    }


def test_the_fields_include_the_url_and_the_license_of_published_weights(acme: BackboneSpec, images: Images) -> None:
    weights = WeightsSpec(tag="ONE", url="https://acme.example/one.safetensors", license="CC-BY-NC-4.0")
    spec = replace(acme, weights=(weights,), upstream="torch==1.0")
    network = Network(spec, WeightsSource("ONE", "ONE", weights=weights), HeadDesign(), acme.build(None), Head(("x",)))
    facts = list_facts(network, Recipe(), choose_hardware("cpu"), images)
    assert facts["weights"] == {"label": "ONE", "url": weights.url, "license": "CC-BY-NC-4.0"}


def test_the_fields_include_the_prefix_of_the_names_in_a_file(acme: BackboneSpec, images: Images) -> None:
    weights = WeightsSource("net.safetensors", file=Path("net.safetensors"), prefix="module.")
    network = Network(acme, weights, HeadDesign(), acme.build(None), Head(("x",)))
    facts = list_facts(network, Recipe(), choose_hardware("cpu"), images)
    assert facts["weights"] == {"label": "net.safetensors", "url": None, "license": None, "prefix": "module."}


@pytest.mark.parametrize(
    ("train", "learning", "params"),
    [("head", set(), 26), ("from:hidden", {"hidden"}, 230), ("all", {"stem", "layer1", "layer2", "hidden"}, 2270)],
)
def test_trained_blocks_and_their_parameters_are_listed(
    network: Network, train: str, learning: set[str], params: int
) -> None:
    blocks = list_blocks(network.backbone, network.model, network.head)
    parts = describe_blocks(network, blocks, select(network.model, blocks, network.head, TrainScope.parse(train)))
    assert [block["name"] for block in parts["blocks"]] == ["stem", "layer1", "layer2", "hidden"]
    assert {block["name"] for block in parts["blocks"] if block["learns"]} == learning
    total = sum(parameter.numel() for parameter in network.model.parameters())
    assert parts["params"] == {"total": total, "learning": params}


def test_a_shared_parameter_is_counted_once(network: Network) -> None:
    layer = nn.Linear(3, 3)
    shared = replace(network, model=nn.Sequential(layer, layer))
    assert describe_blocks(shared, (), Selection(("0",)))["params"] == {"total": 12, "learning": 12}


def test_fields_are_converted_to_json_types(tmp_path: Path, registry: Registry) -> None:
    given = {"classes": ("a", "b"), "input": {"size": (3, 16, 16)}, 1: None}
    record = Record(RunFolder(tmp_path), given, registry, Silent())
    assert record.facts == {"classes": ["a", "b"], "input": {"size": [3, 16, 16]}, "1": None}
    record.write()
    record.close()
    assert json.loads((tmp_path / RUN).read_text(encoding="utf-8")) == record.facts


def test_the_history_has_a_line_for_every_epoch(tmp_path: Path, registry: Registry) -> None:
    progress = RecordingProgress()
    record = Record(RunFolder(tmp_path), {}, registry, progress)
    for number in (1, 2):
        record.add(replace(EPOCH, epoch=number))
        lines = (tmp_path / HISTORY).read_text(encoding="utf-8").splitlines()
        assert [json.loads(line)["epoch"] for line in lines] == list(range(1, number + 1))
    assert json.loads(lines[0]) == {
        "epoch": 1, "train_loss": 0.7, "train_accuracy": 0.5, "val_loss": 0.6, "val_accuracy": 0.8, "lr": 0.01,
        "train_seconds": 1.2, "seconds": 1.5, "phase": 1,
    }  # fmt: skip
    assert progress.lines[0] == "epoch 1: train loss 0.7000 accuracy 0.500, val loss 0.6000 accuracy 0.800 (1.5 s)"


def test_run_json_is_written_last_and_contains_the_best_epoch(tmp_path: Path, registry: Registry) -> None:
    record = Record(RunFolder(tmp_path), {"backbone": "acme/net"}, registry, Silent())
    record.add(EPOCH)
    record.note_best(EPOCH, {"accuracy": 0.8})
    assert [path.name for path in tmp_path.iterdir()] == [HISTORY]
    record.write()
    record.close()
    facts = json.loads((tmp_path / RUN).read_text(encoding="utf-8"))
    assert facts == record.facts
    assert facts["best"] == {"epoch": 1, "val_accuracy": 0.8, "val_loss": 0.6}
    assert (facts["epochs"], facts["val"]) == (1, {"accuracy": 0.8})
    assert facts["seconds"] >= 0


def test_plugins_are_notified_of_the_start_each_epoch_and_the_end(tmp_path: Path, acme: BackboneSpec) -> None:
    events: list[tuple[str, Any]] = []

    def zoo_run_started(run: Mapping[str, Any]) -> None:
        events.append(("started", run))

    def zoo_epoch_ended(run: Mapping[str, Any], epoch: Mapping[str, Any]) -> None:
        events.append((run["path"], epoch["epoch"]))

    def zoo_run_finished(run: Mapping[str, Any]) -> None:
        written = json.loads((tmp_path / RUN).read_text(encoding="utf-8"))
        events.append(("finished", run == {**written, "path": str(tmp_path)}))

    hooks = {function.__name__: function for function in (zoo_run_started, zoo_epoch_ended, zoo_run_finished)}
    record = Record(RunFolder(tmp_path), {"backbone": "acme/net"}, registry_of(acme, **hooks), Silent())
    record.open()
    record.add(EPOCH)
    record.add(replace(EPOCH, epoch=2))
    record.write()
    record.close()
    assert events == [
        ("started", {"backbone": "acme/net", "path": str(tmp_path)}),
        (str(tmp_path), 1),
        (str(tmp_path), 2),
        ("finished", True),
    ]
    assert "path" not in record.facts  # A run folder may be moved.


def test_a_failing_plugin_is_reported_once_and_the_record_continues(tmp_path: Path, acme: BackboneSpec) -> None:
    def zoo_epoch_ended(epoch: Mapping[str, Any]) -> None:
        raise ConnectionError(f"no server at epoch {epoch['epoch']}")

    progress = RecordingProgress()
    registry = registry_of(acme, zoo_epoch_ended=zoo_epoch_ended)
    record = Record(RunFolder(tmp_path), {}, registry, progress)
    record.add(EPOCH)
    record.add(replace(EPOCH, epoch=2))
    record.write()
    record.close()
    (warning,) = [line for line in progress.lines if line.startswith("warning")]
    assert "plugin acme failed in zoo_epoch_ended" in warning
    assert "ConnectionError: no server at epoch 1" in warning
    assert (tmp_path / RUN).is_file()


def test_a_plugin_cannot_change_the_record(tmp_path: Path, acme: BackboneSpec) -> None:
    def zoo_run_started(run: dict[str, Any]) -> None:
        run["classes"].clear()
        run["api_key"] = "secret"

    registry = registry_of(acme, zoo_run_started=zoo_run_started)
    record = Record(RunFolder(tmp_path), {"classes": ["a", "b"]}, registry, Silent())
    record.open()
    assert record.facts == {"classes": ["a", "b"]}


def test_a_split_is_evaluated_with_its_own_labels(images: Images) -> None:
    always_red = torch.tensor([[0.0, 1.0]]).repeat(10, 1)
    measured = measure_split(always_red, images, "val")
    assert measured["accuracy"] == 0.5
    assert measured["confusion"] == [[0, 5], [0, 5]]


def test_a_partly_trained_block_and_a_frozen_head_are_marked(network: Network) -> None:
    blocks = list_blocks(network.backbone, network.model, network.head)
    parts = describe_blocks(
        network, blocks, select(network.model, blocks, network.head, TrainScope.parse("norms,layer1"))
    )
    assert parts["blocks"] == [
        {"name": "stem", "learns": True, "partly": True},
        {"name": "layer1", "learns": True},
        {"name": "layer2", "learns": True, "partly": True},
        {"name": "hidden", "learns": False},
    ]
    assert parts["head_learns"] is False
    assert parts["terms"] == [
        {"term": "norms", "tensors": 6, "params": 64},
        {"term": "layer1", "tensors": 4, "params": 600},
    ]
