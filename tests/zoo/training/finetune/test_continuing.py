"""Runs that start from the model of an earlier run."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from quick_runs import LEARNS, QUICK, read_facts
from recording_progress import RecordingProgress
from zoo.registry.registry import Registry
from zoo.training.finetune import finetune

#: A learning rate that changes nothing.
STILL = {**LEARNS, "epochs": 1, "lr": 1e-9, "weight_decay": 0.0, "train": "head"}


@pytest.fixture
def first(registry: Registry, photos: Path, tmp_path: Path) -> Path:
    """The model file of a run that classifies blue and red."""
    finetune("net", photos, output=tmp_path / "first", registry=registry, **LEARNS)
    return tmp_path / "first" / "model.safetensors"


def test_a_run_that_continues_begins_with_the_accuracy_of_the_earlier_one(
    registry: Registry, photos: Path, output: Path, first: Path
) -> None:
    finetune("net", photos, output=output, registry=registry, **{**STILL, "weights": str(first)})
    before, after = read_facts(first.parent), read_facts(output)
    assert before["best"]["val_accuracy"] > 0.8
    assert after["best"]["val_accuracy"] == before["best"]["val_accuracy"]
    assert after["best"]["val_loss"] == pytest.approx(before["best"]["val_loss"], rel=0.02)


def test_a_run_with_one_more_class_keeps_the_rows_of_the_others(
    registry: Registry, photos: Path, output: Path, first: Path
) -> None:
    for split in ("train", "val"):
        shutil.copytree(photos / split / "red", photos / split / "crimson")
    finetune("net", photos, output=output, registry=registry, **{**STILL, "weights": str(first)})
    assert read_facts(output)["classes"] == ["blue", "crimson", "red"]
    old, new = load_file(first), load_file(output / "model.safetensors")
    for name in ("classifier.3.weight", "classifier.3.bias"):
        torch.testing.assert_close(new[name][[0, 2]], old[name])


def test_the_preprocessing_of_an_earlier_run_is_used_and_reported(
    registry: Registry, photos: Path, output: Path, tmp_path: Path
) -> None:
    changed = {**QUICK, "resize": "squash", "mean": "0.3"}
    finetune("net", photos, output=tmp_path / "first", registry=registry, **changed)
    progress = RecordingProgress()
    weights = {**QUICK, "weights": str(tmp_path / "first" / "model.safetensors")}
    finetune("net", photos, output=output, registry=registry, progress=progress, **weights)
    assert read_facts(output)["input"] == read_facts(tmp_path / "first")["input"]
    notes = [line for line in progress.lines if line.endswith("as in the run that wrote model.safetensors")]
    assert [note.split()[4] for note in notes] == ["crop", "mean"]
