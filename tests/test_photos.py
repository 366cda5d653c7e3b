"""Fine-tuning with real photos and weights: accuracy, loading into upstream's network, and its probabilities."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import timm
import torch
import torchvision
from safetensors.torch import load_file
from torch import nn

import zoo
from zoo.data.decode import decode_image
from zoo.data.transform import build_eval_transform

pytestmark = pytest.mark.breadth

CASES: dict[str, tuple[str, float, Callable[[], nn.Module]]] = {
    "mobilenet_v2": (
        "torchvision_mobilenet_v2",
        0.9,
        lambda: torchvision.models.mobilenet_v2(num_classes=2),
    ),
    "squeezenet1_1": (
        "torchvision_squeezenet1_1",
        0.8,
        lambda: torchvision.models.squeezenet1_1(num_classes=2),
    ),
    "timm/mobilenetv2_035": (
        "timm_mobilenetv2_035_backbone",
        0.8,
        lambda: timm.create_model("mobilenetv2_035", num_classes=2),
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_ants_and_bees_are_classified_and_upstream_agrees(name: str, assets: Path, tmp_path: Path) -> None:
    weights, least, build = CASES[name]
    photos = assets / "data" / "hymenoptera_data"
    run = zoo.finetune(
        name, photos, output=tmp_path / "run", weights=str(assets / "weights" / f"{weights}.safetensors"), epochs=2
    )
    assert run.facts["best"]["val_accuracy"] >= least
    model = build()
    model.load_state_dict(load_file(run.path / "model.safetensors"))
    paths = sorted((photos / "val" / "ants").iterdir())[:4]
    transform = build_eval_transform(zoo.load(run).header.input)
    with torch.inference_mode():
        theirs = model.eval()(torch.stack([transform(decode_image(path)) for path in paths])).softmax(1)
    command = [sys.executable, "-m", "zoo", "predict", str(run.path), "--top", "2", "--json", *map(str, paths)]
    answer = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    ours = [{item["label"]: item["probability"] for item in row["top"]} for row in json.loads(answer.stdout)]
    for row, probabilities in zip(ours, theirs.tolist(), strict=True):
        assert [row["ants"], row["bees"]] == pytest.approx(probabilities, abs=1e-4)
