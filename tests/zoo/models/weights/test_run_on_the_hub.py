from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

import zoo
from loopback_hub import LoopbackHub
from quick_runs import QUICK, read_facts
from recording_progress import RecordingProgress
from zoo.errors import RunError, WeightsError
from zoo.models.weights.read import read_weights
from zoo.registry.registry import Registry
from zoo.training.finetune import finetune


@pytest.fixture
def run(train_once: Callable[..., Path], hub: LoopbackHub) -> Path:
    """A run, which is also on the hub as ``me/first``."""
    folder = train_once(weights="none", epochs=1, batch_size=8, workers=0, device="cpu")
    hub.put("me/first", {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()})
    return folder


def test_a_backbone_is_built_with_the_weights_of_a_run_on_the_hub(run: Path, registry: Registry) -> None:
    model = zoo.build("net", weights="hf://me/first", registry=registry)
    tensors = read_weights(run / "model.safetensors", digest=None)
    state = model.state_dict()
    body = [name for name in tensors if not name.startswith("fc.")]
    assert len(body) > 3
    assert all(torch.equal(state[name], tensors[name]) for name in body)


@pytest.mark.usefixtures("run")
def test_a_run_continues_from_a_run_on_the_hub_and_records_the_commit(
    hub: LoopbackHub, registry: Registry, photos: Path, tmp_path: Path
) -> None:
    progress = RecordingProgress()
    options = {**QUICK, "weights": "hf://me/first"}
    result = finetune("net", photos, output=tmp_path / "second", registry=registry, progress=progress, **options)
    commit = hub.repos["me/first"].refs["main"]
    assert read_facts(result.path)["weights"]["label"] == f"hf://me/first@{commit}"
    assert f"fetching hf://me/first, commit {commit[:12]}" in progress.lines


@pytest.mark.usefixtures("run")
def test_the_weights_of_a_run_with_another_backbone_are_refused() -> None:
    with pytest.raises(WeightsError, match="is the model of a run with acme/net, not with tiny"):
        zoo.build("tiny", weights="hf://me/first")


def test_a_repository_that_is_no_run_is_refused(hub: LoopbackHub, registry: Registry) -> None:
    hub.put("me/other", {"model.safetensors": b""})
    with pytest.raises(RunError, match=r"hf://me/other is not a run: it has no run\.json"):
        zoo.build("net", weights="hf://me/other", registry=registry)
