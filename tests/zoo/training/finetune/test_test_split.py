from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor, nn

from fading import make_fades
from made_registries import registry_of
from quick_runs import LEARNS, QUICK
from zoo.plugin import BackboneSpec, BlockSpec
from zoo.registry.registry import Registry
from zoo.training.finetune import finetune


@pytest.fixture
def tested(photos: Path) -> Path:
    """The photos with a test split in which all labels are wrong, so that its metrics differ from those of val."""
    for name, other in (("blue", "red"), ("red", "blue")):
        shutil.copytree(photos / "val" / name, photos / "test" / other)
    return photos


def test_the_test_split_is_evaluated_with_the_best_weights(registry: Registry, tested: Path, output: Path) -> None:
    run = finetune("net", tested, output=output, registry=registry, **LEARNS)
    assert run.facts["best"]["val_accuracy"] == 1.0
    assert run.facts["test"]["accuracy"] == 0.0
    assert run.facts["test"]["images"] == 10
    assert run.facts["test"]["confusion"] == [[0, 5], [5, 0]]


def test_the_test_split_is_not_evaluated_with_the_last_weights(tested: Path, output: Path, acme: BackboneSpec) -> None:
    options = {**QUICK, "epochs": 2, "lr": 0.5, "schedule": "constant"}
    run = finetune("fades", tested, output=output, registry=registry_of(make_fades(acme)), **options)
    best = run.facts["best"]
    assert (best["epoch"], best["val_accuracy"]) == (1, 1.0)
    assert load_file(output / "model.safetensors")["passes"] == 3
    assert run.facts["test"]["accuracy"] == 0.0


def test_a_test_loss_of_nan_does_not_fail_the_run(photos: Path, output: Path, acme: BackboneSpec) -> None:
    class Bright(nn.Module):
        """A network that divides by the brightness, so that its logits for a black image are NaN."""

        def __init__(self) -> None:
            super().__init__()
            self.body = nn.Linear(3, 3)
            self.fc = nn.Linear(3, 2)

        def forward(self, images: Tensor) -> Tensor:
            means = images.mean((2, 3)) + 1  # Black is -1.
            logits: Tensor = self.fc(self.body(means / means.sum(1, keepdim=True)))
            return logits

    for name in ("blue", "red"):
        (photos / "test" / name).mkdir(parents=True)
        Image.new("RGB", (16, 16)).save(photos / "test" / name / "black.png")
    spec = replace(
        acme, name="acme/bright", build=lambda _tag: Bright(), head=("fc",), classifier=None, num_classes=2,
        blocks=(BlockSpec("body", ("body",)),), params=20,
    )  # fmt: skip
    finetune("bright", photos, output=output, registry=registry_of(spec), **QUICK)
    assert (output / "run.json").exists()


def test_without_a_test_split_there_are_no_test_metrics(registry: Registry, photos: Path, output: Path) -> None:
    assert "test" not in finetune("net", photos, output=output, registry=registry, **QUICK).facts
