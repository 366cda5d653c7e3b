"""Pipes, devices and huge files in place of run.json and of weights: zoo never waits for them or reads them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from zoo.errors import RunError, WeightsError
from zoo.files.limits import MAX_RUN_BYTES
from zoo.models.weights.read import read_weights
from zoo.registry.registry import Registry
from zoo.runs.compare import compare_runs
from zoo.training.finetune import finetune

pytestmark = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no pipes in folders")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "model.safetensors").write_bytes(b"")
    return tmp_path


def test_a_pipe_in_place_of_run_json_is_refused(folder: Path) -> None:
    os.mkfifo(folder / "run.json")
    with pytest.raises(RunError, match=r"run\.json cannot be read: it is not a file"):
        compare_runs([folder])


def test_a_device_in_place_of_run_json_is_refused(folder: Path) -> None:
    (folder / "run.json").symlink_to("/dev/zero")
    with pytest.raises(RunError, match=r"run\.json cannot be read: it is not a file"):
        compare_runs([folder])


def test_a_run_json_that_is_too_large_is_refused(folder: Path) -> None:
    with (folder / "run.json").open("wb") as file:
        file.truncate(MAX_RUN_BYTES + 1)  # a hole, which takes no disk space
    with pytest.raises(RunError, match=r"it has 536,870,913 bytes, but at most 536,870,912 are allowed"):
        compare_runs([folder])


def test_a_pipe_in_place_of_weights_is_refused(registry: Registry, photos: Path, tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    os.mkfifo(path)
    with pytest.raises(WeightsError, match="is not a file"):
        read_weights(path, digest=None)
    with pytest.raises(WeightsError, match="is not a file"):
        finetune("net", photos, weights=str(path), output=tmp_path / "run", registry=registry, device="cpu")
