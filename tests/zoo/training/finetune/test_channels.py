"""Runs on images with other numbers of channels than three."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw
from safetensors.torch import load_file

from interrupted_runs import Interrupts, describe
from zoo import build
from zoo.errors import DataError, OptionError
from zoo.runs.classifier import load
from zoo.training.finetune import finetune


@pytest.fixture
def gray(tmp_path: Path) -> Path:
    """Bright disks and rings in grayscale."""
    random = np.random.default_rng(0)
    for split, count in (("train", 12), ("val", 6)):
        for name in ("disk", "ring"):
            folder = tmp_path / "gray" / split / name
            folder.mkdir(parents=True)
            for number in range(count):
                image = Image.new("L", (48, 48), int(random.integers(0, 60)))
                x, y, shade = (int(random.integers(*limits)) for limits in ((2, 12), (2, 12), (150, 255)))
                box, draw = (x, y, x + 30, y + 30), ImageDraw.Draw(image)
                draw.ellipse(box, fill=shade if name == "disk" else None, outline=shade, width=4)
                image.save(folder / f"{number}.png")
    return tmp_path / "gray"


@pytest.fixture
def bands(gray: Path, tmp_path: Path) -> Path:
    """The same images as arrays with five channels."""
    for path in gray.rglob("*.png"):
        pixels = np.asarray(Image.open(path))
        target = tmp_path / "bands" / path.relative_to(gray).with_suffix(".npy")
        target.parent.mkdir(parents=True, exist_ok=True)
        np.save(target, np.stack([pixels, 255 - pixels, pixels // 2, pixels // 3, pixels // 4], 2))
    return tmp_path / "bands"


def train(data: Path, output: Path, **options: Any) -> Mapping[str, Any]:
    settings: dict[str, Any] = {"epochs": 3, "device": "cpu", "precision": "fp32", "workers": 0}
    return finetune("tiny", data, output=output, **(settings | options)).facts


def test_a_gray_run_learns_and_is_loaded_with_one_channel(gray: Path, output: Path) -> None:
    facts = train(gray, output, channels=1, epochs=8)
    assert facts["input"]["size"] == [1, 64, 64]
    assert facts["val"]["accuracy"] >= 0.9
    classifier = load(output, device="cpu")
    assert classifier.transform(gray / "val/disk/0.png").shape == (1, 64, 64)
    assert classifier.evaluate(gray)["accuracy"] == facts["val"]["accuracy"]
    assert load_file(output / "model.safetensors")["conv1.weight"].shape[1] == 1


def test_color_images_become_gray(gray: Path, output: Path) -> None:
    train(gray, output, channels=1, epochs=1)
    classifier = load(output, device="cpu")
    color = Image.merge("RGB", [Image.open(gray / "val/disk/0.png"), *2 * [Image.new("L", (48, 48), 90)]])
    (one,), (two,) = classifier.predict(color), classifier.predict(color.convert("L"))
    assert one.probability == two.probability


@pytest.mark.parametrize("scope", ["head", "all"])
def test_a_gray_run_resumes_to_the_same_bytes(
    gray: Path, tmp_path: Path, scope: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = {"channels": 1, "train": scope, "augment": "trivial", "views": 0, "save_every": 1}
    train(gray, tmp_path / "whole", **options)

    Interrupts(monkeypatch, 2)
    with pytest.raises(KeyboardInterrupt):
        train(gray, tmp_path / "parts", **options)
    train(gray, tmp_path / "parts", resume=True, **options)
    assert describe(tmp_path / "parts") == describe(tmp_path / "whole")


def test_the_adapted_layer_is_frozen_with_the_backbone(gray: Path, output: Path) -> None:
    train(gray, output, channels=1, epochs=1)
    wanted = build("tiny").state_dict()["conv1.weight"].sum(1, keepdim=True)
    assert torch.equal(load_file(output / "model.safetensors")["conv1.weight"], wanted)


def test_a_gray_run_continues_with_one_channel(gray: Path, tmp_path: Path) -> None:
    train(gray, tmp_path / "one", channels=1, epochs=1)
    file = tmp_path / "one" / "model.safetensors"
    facts = train(gray, tmp_path / "two", weights=file, epochs=1)
    assert facts["input"]["size"] == [1, 64, 64]
    assert torch.equal(
        load_file(file)["conv1.weight"], load_file(tmp_path / "two" / "model.safetensors")["conv1.weight"]
    )


def test_arrays_with_five_channels_are_trained_and_predicted(bands: Path, output: Path) -> None:
    facts = train(bands, output, channels=5, train="all", epochs=2)
    assert facts["input"]["size"] == [5, 64, 64]
    assert facts["input"]["mean"] == [0.5] * 5
    classifier = load(output, device="cpu")
    file = bands / "val/disk/0.npy"
    (one,), (two,) = classifier.predict(file), classifier.predict(np.load(file))
    assert one.probability == two.probability
    assert (output / "report.html").is_file()


def test_images_with_other_channels_are_refused_with_the_reason(gray: Path, bands: Path, output: Path) -> None:
    with pytest.raises(
        DataError, match="it has 5 channels, but 1 or 3 are expected; to use all, train with `channels` 5"
    ):
        train(bands, output)
    with pytest.raises(DataError, match=r"image mode L with 1 channel; for 5 channels, use \.npy files"):
        train(gray, output, channels=5)


def test_color_augmentation_of_five_channels_is_refused_before_images_are_read(bands: Path, output: Path) -> None:
    with pytest.raises(OptionError, match="`augment` rand changes colors"):
        train(bands, output, channels=5, augment="rand")
    assert not output.exists()


def test_the_folder_of_a_gray_run_has_timms_channels(gray: Path, output: Path) -> None:
    finetune(
        "timm/resnet18",
        gray,
        output=output,
        channels=1,
        weights="none",
        image_size=32,
        epochs=1,
        device="cpu",
        workers=0,
    )
    config = json.loads((output / "config.json").read_text())
    assert config["model_args"] == {"in_chans": 1}
    timm = pytest.importorskip("timm")
    model = timm.create_model(f"local-dir:{output}", pretrained=True)
    tensors = load_file(output / "model.safetensors")
    assert all(torch.equal(tensor, tensors[name]) for name, tensor in model.state_dict().items())
