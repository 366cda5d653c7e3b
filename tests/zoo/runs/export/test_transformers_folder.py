from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

import zoo
from zoo.errors import ExportError, OptionError
from zoo.runs.export import timm_folder
from zoo.runs.export.export import export_run
from zoo.training.finetune import finetune

pytestmark = [
    pytest.mark.breadth,
    pytest.mark.skipif(find_spec("transformers") is None, reason="transformers is not installed"),
]

#: Classifies images with transformers alone, and prints the probabilities by class.
CLASSIFY = """
import json, sys
from transformers import AutoModelForImageClassification, pipeline
folder, *images = sys.argv[1:]
model = AutoModelForImageClassification.from_pretrained(folder)
classify = pipeline("image-classification", folder)
assert not any(name == "zoo" or name.startswith("zoo.") for name in sys.modules)
found = [{item["label"]: item["score"] for item in classify(image)} for image in images]
print(json.dumps({"type": type(model).__name__, "id2label": model.config.id2label, "found": found}))
"""

Train = Callable[..., Path]


@pytest.fixture
def train(photos: Path, tmp_path: Path) -> Train:
    """Return a function that trains a backbone from random weights for one epoch."""

    def train(backbone: str, **options: Any) -> Path:
        fixed = {"weights": "none", "epochs": 1, "device": "cpu", "workers": 0}
        return finetune(backbone, photos, output=tmp_path / "run", **fixed, **options).path

    return train


def classify(folder: Path, images: list[Path]) -> dict[str, Any]:
    """Run transformers in a fresh process."""
    environment = {**os.environ, "HF_HUB_OFFLINE": "1"}
    command = [sys.executable, "-c", CLASSIFY, str(folder), *map(str, images)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answer


def test_transformers_loads_the_run_folder_of_a_timm_backbone_in_a_fresh_process(train: Train, photos: Path) -> None:
    run = train("timm/test_resnet")
    images = sorted((photos / "val").rglob("*.png"))
    answer = classify(run, images)
    assert answer["type"] == "TimmWrapperForImageClassification"
    assert answer["id2label"] == {"0": "blue", "1": "red"}
    expected = [dict(prediction.top) for prediction in zoo.load(run, device="cpu").predict(images, top=2)]
    assert len(expected) == len(answer["found"]) == 10
    for ours, theirs in zip(expected, answer["found"], strict=True):
        assert theirs == pytest.approx(ours, abs=5e-3)


@pytest.mark.parametrize("backbone", ["timm/test_resnet", "torchvision/mobilenet_v2"])
def test_the_export_is_proved_with_transformers(train: Train, backbone: str) -> None:
    run = train(backbone)
    export = export_run(run, "transformers")
    assert export.path == run / "exports" / "transformers"
    assert (export.images, export.preprocess) == (10, "outside")
    assert export.parity["tensors"].difference < 1e-4
    assert export.parity["images"].same_top == export.parity["images"].predictions
    config = json.loads((export.path / "config.json").read_text(encoding="utf-8"))
    assert config["architecture"] == backbone.rpartition("/")[2].replace("mobilenet_v2", "mobilenetv2_100")


def test_a_wrong_preprocessing_of_transformers_is_noticed(train: Train, monkeypatch: pytest.MonkeyPatch) -> None:
    right = timm_folder.build_config

    def build_wrong(*arguments: Any) -> dict[str, Any]:
        config = right(*arguments)
        config["pretrained_cfg"]["std"] = [0.1, 0.2, 0.3]
        return config

    monkeypatch.setattr(timm_folder, "build_config", build_wrong)
    with pytest.raises(ExportError, match="the transformers export does not give the probabilities of the run"):
        export_run(train("timm/test_resnet"), "transformers")


def test_a_network_that_timm_lacks_is_refused_with_the_reason(train: Train) -> None:
    with pytest.raises(OptionError, match="`format` transformers supports timm's own backbones and torchvision/mobile"):
        export_run(train("tiny"), "transformers")


def test_a_head_that_timm_lacks_is_refused_with_the_reason(train: Train) -> None:
    with pytest.raises(OptionError, match="`format` transformers needs a linear head, because timm has no networks"):
        export_run(train("timm/test_resnet", head="mlp:4"), "transformers")
