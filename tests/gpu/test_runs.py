"""Complete runs on the device reduce the loss, and the metrics that they report are those of the saved model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

import zoo
from recording_progress import RecordingProgress

#: Largest allowed difference between probabilities or losses on the device and their references, by precision.
TOLERANCES = {"fp32": 1e-3, "bf16": 0.1, "fp16": 0.02}


def read_history(run: zoo.Run) -> list[dict[str, Any]]:
    lines = (run.path / "history.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def read_val_losses(run: zoo.Run) -> list[float]:
    return [epoch["val_loss"] for epoch in read_history(run)]


@pytest.fixture
def train(network: str, photos: Path, device: torch.device, tmp_path: Path) -> Any:
    def run(name: str, **options: Any) -> zoo.Run:
        defaults: dict[str, Any] = {"weights": "none", "epochs": 2, "batch_size": 8, "device": device.type}
        return zoo.finetune(network, photos, output=tmp_path / name, **{**defaults, **options})

    return run


@pytest.mark.parametrize("scope", ["head", "all"])
def test_evaluate_agrees_with_the_metrics_of_the_run(
    train: Any, photos: Path, device: torch.device, precision: str, scope: str
) -> None:
    run = train("run", train=scope, precision=precision, lr=1e-4, epochs=3)
    assert run.facts["hardware"]["precision"] == precision
    assert run.facts["hardware"]["device"].startswith(device.type)
    losses = [epoch["train_loss"] for epoch in read_history(run)]
    assert losses[-1] < losses[0]
    found = zoo.load(run, device=device.type).evaluate(photos, "val")
    best = read_history(run)[run.facts["best"]["epoch"] - 1]
    assert found["loss"] == pytest.approx(best["val_loss"], abs=TOLERANCES[precision])


def test_predictions_agree_with_those_of_a_cpu(train: Any, photos: Path, device: torch.device) -> None:
    run = train("run", train="all", lr=1e-4)
    images = sorted((photos / "val").rglob("*.png"))
    mine, theirs = (zoo.load(run, device=kind) for kind in (device.type, "cpu"))
    rounded: list[bool] = []
    mine.model.register_forward_pre_hook(lambda *_: rounded.append(torch.backends.cudnn.allow_tf32))
    here, there = (list(classifier.predict(images, top=2)) for classifier in (mine, theirs))
    mine.evaluate(photos, "val")
    assert rounded
    assert device.type == "cpu" or not any(rounded)  # float32 uses no TF32, not even in convolutions
    for found, wanted in zip(here, there, strict=True):
        assert dict(found.top) == pytest.approx(dict(wanted.top), abs=TOLERANCES["fp32"])


@pytest.mark.parametrize("scope", ["head", "from:LAST", "all"])
def test_the_first_steps_agree_with_those_of_a_cpu(train: Any, network: str, scope: str) -> None:
    (backbone,) = zoo.list_backbones(network)
    assert not callable(backbone.blocks)
    options = {"train": scope.replace("LAST", backbone.blocks[-1].name), "precision": "fp32", "lr": 1e-6}
    # Dropout masks differ between devices, but with such a low learning rate they do not affect the losses.
    here = train("here", augment="none", **options)
    there = train("there", device="cpu", augment="none", **options)
    assert read_val_losses(here) == pytest.approx(read_val_losses(there), abs=2e-3)


@pytest.mark.parametrize("scope", ["head", "from:LAST"])
def test_training_on_cached_features_gives_the_same_losses_as_the_full_network(
    train: Any, network: str, precision: str, scope: str
) -> None:
    (backbone,) = zoo.list_backbones(network)
    assert not callable(backbone.blocks)
    options = {
        "train": scope.replace("LAST", backbone.blocks[-1].name),
        "precision": precision,
        "augment": "none",
        "optimizer": "sgd",
        "lr": 1e-6,
    }
    progress = RecordingProgress()
    cached, plain = train("cached", progress=progress, **options), train("plain", cache=False, **options)
    assert not [line for line in progress.lines if "computed in every epoch" in line]  # features were cached
    assert read_val_losses(cached) == pytest.approx(read_val_losses(plain), abs=TOLERANCES[precision] / 2)


def test_auto_precision_is_bf16_on_a_gpu_that_supports_it(train: Any, device: torch.device) -> None:
    if device.type != "cuda":
        pytest.skip("this test needs a GPU")
    wanted = "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp32"
    assert train("run", device="auto").facts["hardware"]["precision"] == wanted
