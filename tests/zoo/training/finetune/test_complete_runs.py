"""Complete runs: their results, messages and files."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from quick_runs import FILES, LEARNS, QUICK, read_facts
from recording_progress import RecordingProgress
from zoo.data.dataset import open_images
from zoo.plugin import BackboneSpec
from zoo.progress import Silent
from zoo.registry.data_options import DataOptions
from zoo.registry.registry import Registry
from zoo.runs.model_file import load_header
from zoo.training.finetune import finetune
from zoo.training.run import Run


def test_a_run_is_accurate_and_its_folder_is_complete(registry: Registry, photos: Path, output: Path) -> None:
    run = finetune("net", photos, output=output, registry=registry, **LEARNS)
    assert run.path == output == Path(os.fspath(run))
    assert sorted(path.name for path in output.iterdir()) == FILES
    assert run.facts["best"]["val_accuracy"] == 1.0
    assert read_facts(output) == run.facts


def test_run_json_has_the_documented_keys(registry: Registry, photos: Path, output: Path) -> None:
    finetune("net", photos, output=output, registry=registry, **{**QUICK, "train": "from:layer2"})
    facts = read_facts(output)
    assert facts["backbone"] == "acme/net"
    assert facts["classes"] == ["blue", "red"]
    assert facts["best"]["epoch"] == 1
    assert 0 <= facts["best"]["val_accuracy"] <= 1
    assert facts["frozen"]["before"] == facts["frozen"]["after"]
    assert len(facts["frozen"]["before"]) == 64
    assert facts["epochs"] == 1
    assert [block["learns"] for block in facts["blocks"]] == [False, False, True, True]
    assert facts["data"]["asked"] == str(photos)
    assert facts["recipe"]["train"] == "from:layer2"
    # The learning rate was given, and the weight decay is the default of the optimizer.
    assert (facts["recipe"]["lr"], facts["recipe"]["weight_decay"]) == (0.02, 0.01)


def test_the_history_has_a_line_for_every_epoch(registry: Registry, photos: Path, output: Path) -> None:
    run = finetune("net", photos, output=output, registry=registry, **LEARNS)
    lines = [json.loads(line) for line in (output / "history.jsonl").read_text(encoding="utf-8").splitlines()]
    best = run.facts["best"]
    assert [line["epoch"] for line in lines] == [1, 2, 3, 4]
    assert best["val_accuracy"] == max(line["val_accuracy"] for line in lines)
    assert lines[best["epoch"] - 1]["val_loss"] == best["val_loss"]


def test_the_model_file_names_its_backbone_head_and_classes(registry: Registry, photos: Path, output: Path) -> None:
    finetune("net", photos, output=output, registry=registry, **{**QUICK, "head": "mlp:6"})
    header = load_header(output / "model.safetensors")
    assert (header.backbone, header.head, header.classes) == ("acme/net", "mlp:6", ("blue", "red"))
    assert (header.weights, header.weights_license) == ("none", "none")


def test_frozen_tensors_in_the_model_file_equal_the_initial_weights(
    acme: BackboneSpec, registry: Registry, photos: Path, tmp_path: Path, output: Path
) -> None:
    torch.manual_seed(5)
    source = {name: tensor.clone() for name, tensor in acme.build(None).state_dict().items()}
    save_file(source, tmp_path / "start.safetensors")
    weights = str(tmp_path / "start.safetensors")
    finetune("net", photos, output=output, registry=registry, **{**QUICK, "weights": weights, "train": "from:hidden"})
    found = load_file(output / "model.safetensors")
    trained = {name for name in found if not (name in source and torch.equal(found[name], source[name]))}
    assert trained == {f"classifier.{n}.{kind}" for n in (0, 3) for kind in ("weight", "bias")}


def test_messages_report_the_choice_and_the_result(registry: Registry, photos: Path, output: Path) -> None:
    progress = RecordingProgress()
    finetune("net", photos, output=output, registry=registry, progress=progress, **{**QUICK, "train": "from:layer2"})
    assert progress.lines[0] == "net -> acme/net@none"
    assert any(line.endswith("-> 24 train, 10 val images of 2 classes: blue, red") for line in progress.lines)
    assert any(line.startswith("training layer2 to hidden and the head (linear): ") for line in progress.lines)
    assert any(line.startswith("best: epoch 1, validation accuracy ") for line in progress.lines)


def test_zoo_warns_of_frozen_random_weights(registry: Registry, photos: Path, output: Path) -> None:
    progress = RecordingProgress()
    finetune("net", photos, output=output, registry=registry, progress=progress, **{**QUICK, "train": "head"})
    assert "warning: the frozen part has random weights, so little will be learned; use `train` all" in progress.lines


@pytest.mark.parametrize("schedule", ["onecycle", "constant"])
def test_batch_norm_statistics_stay_fixed_with_a_batch_size_of_1(
    registry: Registry, photos: Path, output: Path, schedule: str
) -> None:
    progress = RecordingProgress()
    options = {**QUICK, "batch_size": 1, "schedule": schedule}
    finetune("net", photos, output=output, registry=registry, progress=progress, **options)
    assert any("batch norm statistics stay fixed" in line for line in progress.lines)
    assert torch.equal(load_file(output / "model.safetensors")["stem.1.running_mean"], torch.zeros(8))


def test_unreadable_images_are_listed_in_run_json(registry: Registry, photos: Path, output: Path) -> None:
    (photos / "train" / "red" / "broken.png").write_bytes(b"no image")
    run = finetune("net", photos, output=output, registry=registry, **QUICK)
    (item,) = run.facts["data"]["left_out"]
    assert item["path"].endswith("broken.png")
    assert run.facts["data"]["images"]["train"] == 24


def test_run_json_has_the_fingerprint_of_the_data(registry: Registry, photos: Path, output: Path) -> None:
    run = finetune("net", photos, output=output, registry=registry, **QUICK)
    images = open_images(photos, DataOptions(), registry=registry, progress=Silent())
    assert run.facts["data"]["fingerprint"] == images.fingerprint


def test_a_run_is_a_path(output: Path) -> None:
    assert Path(Run(output, {})) == output
