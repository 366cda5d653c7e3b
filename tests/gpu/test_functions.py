"""The functions around training give the same results on the device as on a CPU, and every way of training works."""

from __future__ import annotations

import io
import math
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from torch import nn

import zoo
from recording_progress import RecordingProgress
from zoo.data.loading_processes import LoadingProcesses
from zoo.engine.saliency import compute_saliency

#: Largest allowed difference between probabilities in float32 on two devices.
TOLERANCE = 1e-3
#: Options that change what a training step does, and where its tensors have to be.
WAYS = {
    "accumulate": {"accumulate": 2},
    "balanced loss": {"balance": "loss"},
    "clipped gradients": {"clip_norm": 0.1, "optimizer": "sgd"},
    "cutmix": {"cutmix": 1.0},
    "ema": {"ema": 0.5},
    "gradual": {"train": "gradual"},
    "head then all": {"train": "head-then-all"},
    "layer decay": {"layer_decay": 0.5, "train": "all"},
    "mixup and smoothing": {"mixup": 0.2, "label_smoothing": 0.1},
    "mlp": {"head": "mlp:16", "train": "head"},
    "norms": {"train": "head,norms"},
    "plateau": {"schedule": "plateau"},
    "scratch": {"baseline": "scratch", "train": "head"},
    "trivial augment and erasing": {"augment": "trivial", "erase": 0.5},
    "two views": {"views": 2, "train": "head"},
}


@pytest.fixture
def train(network: str, photos: Path, device: torch.device, tmp_path: Path) -> Any:
    def run(name: str = "run", model: Any = network, **options: Any) -> zoo.Run:
        defaults: dict[str, Any] = {"epochs": 2, "batch_size": 8, "device": device.type}
        if model == network:
            defaults["weights"] = "none"
        return zoo.finetune(model, photos, output=tmp_path / name, **{**defaults, **options})

    return run


@pytest.mark.parametrize("way", WAYS)
def test_every_way_of_training_works(train: Any, photos: Path, device: torch.device, way: str) -> None:
    run = train(**{"precision": "fp32", **WAYS[way]})
    assert all(math.isfinite(epoch["train_loss"]) for epoch in run.history)
    best = run.history[run.facts["best"]["epoch"] - 1]
    found = zoo.load(run, device=device.type).evaluate(photos, "val")
    assert found["loss"] == pytest.approx(best["val_loss"], abs=TOLERANCE)


def test_all_folds_are_trained(train: Any) -> None:
    run = train(folds=3, train="head")
    assert len(run.facts["folds"]) == 3


def test_images_in_memory_give_the_probabilities_of_their_files(train: Any, photos: Path, device: torch.device) -> None:
    file = next((photos / "val").rglob("*.png"))
    classifier = zoo.load(train(train="head"), device=device.type)
    with Image.open(file) as image:
        pixels = torch.frombuffer(bytearray(image.convert("RGB").tobytes()), dtype=torch.uint8)
        tensor = pixels.reshape(image.height, image.width, 3).permute(2, 0, 1)
        forms = [image.copy(), tensor.to(device), tensor.permute(1, 2, 0).numpy(), io.BytesIO(file.read_bytes())]
    (wanted,) = classifier.predict(file, top=2)
    for form in forms:
        (found,) = classifier.predict(form, top=2)
        assert dict(found.top) == pytest.approx(dict(wanted.top), abs=1e-6)


def test_features_agree_with_those_of_a_cpu(photos: Path, device: torch.device, train: Any) -> None:
    run = train(train="head")
    here, there = (zoo.embed(run.path, photos / "val", device=kind) for kind in (device.type, "cpu"))
    torch.testing.assert_close(here.features, there.features, rtol=1e-3, atol=1e-3)


def test_saliency_agrees_with_that_of_a_cpu(network: str, device: torch.device) -> None:
    torch.manual_seed(0)
    model = zoo.build(network, weights="none", num_classes=2).eval()
    images = torch.randn(4, 3, 64, 64)
    there = compute_saliency(model, images)
    here = compute_saliency(model.to(device), images.to(device))
    assert here.device.type == "cpu"
    torch.testing.assert_close(here, there, rtol=0, atol=0.02)


def test_doubtful_labels_are_those_of_a_cpu(photos: Path, device: torch.device) -> None:
    checks = [zoo.check_labels(photos, backbone="tiny/tiny", device=kind) for kind in (device.type, "cpu")]
    here, there = ([doubt.probability for doubt in check.ranking.doubts] for check in checks)
    assert here == pytest.approx(there, abs=0.02)


@pytest.mark.parametrize("kind", ["onnx", "pt2"])
def test_an_export_gives_the_probabilities_of_the_run(train: Any, tmp_path: Path, kind: Any) -> None:
    if kind == "onnx" and not all(map(find_spec, ("onnx", "onnxruntime", "onnxscript"))):
        pytest.skip("onnx, onnxruntime and onnxscript are needed")
    export = zoo.export_run(train().path, kind, output=tmp_path / "export")
    assert export.is_proved
    assert all(compared.same_top == compared.predictions for compared in export.parity.values())


def test_a_changed_network_is_trained_and_loaded(train: Any, photos: Path, device: torch.device) -> None:
    def build() -> nn.Module:
        layers = (nn.Conv2d(3, 8, 3, stride=4), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 5))
        return zoo.surgery.insert(nn.Sequential(*layers), "", 1, nn.BatchNorm2d(8))

    run = train(model=build(), train="all", lr=0.01, image_size=32)
    best = run.history[run.facts["best"]["epoch"] - 1]
    found = zoo.load(run, device=device.type, model=build()).evaluate(photos, "val")
    assert found["loss"] == pytest.approx(best["val_loss"], abs=TOLERANCE)


def test_a_learning_rate_is_suggested(network: str, photos: Path, device: torch.device) -> None:
    found = zoo.find_lr(network, photos, weights="none", device=device.type, batch_size=8)
    assert found.suggested is None or 0 < found.suggested < 10


def test_a_compiled_run_is_compiled(train: Any, device: torch.device) -> None:
    if device.type == "cpu":
        pytest.skip("the tests of the engine compile on CPUs")
    progress = RecordingProgress()
    run = train(train="all", compile=True, progress=progress)
    assert not [line for line in progress.lines if "compilation failed" in line or "ignoring `compile`" in line]
    assert all(math.isfinite(epoch["train_loss"]) for epoch in run.history)


def test_loading_in_processes_gives_the_same_run(train: Any, device: torch.device, monkeypatch: Any) -> None:
    if device.type == "cpu":
        pytest.skip("CPUs decode in threads")
    options = {"train": "all", "precision": "fp32", "lr": 1e-6, "cache": False}
    here = train("threads", **options)
    counts: list[int] = []
    start = LoadingProcesses.__init__
    monkeypatch.setattr("zoo.data.loader.MIN_IMAGES", 1)
    monkeypatch.setattr(
        LoadingProcesses, "__init__", lambda *args, **kw: (counts.append(args[2]), start(*args, **kw))[1]
    )
    there = train("processes", **options)
    assert max(counts) > 0
    assert [epoch["val_loss"] for epoch in there.history] == pytest.approx(
        [e["val_loss"] for e in here.history], abs=1e-4
    )
