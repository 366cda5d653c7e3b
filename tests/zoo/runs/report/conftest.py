"""Made-up runs with any number of classes and epochs."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import pytest

DIGEST = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"


class Written(NamedTuple):
    """The arguments of write_page."""

    facts: dict[str, Any]
    history: list[dict[str, Any]]


MakeRun = Callable[..., Written]


@pytest.fixture(name="make_run")
def _make_run() -> MakeRun:
    return make_run


def make_run(
    classes: Sequence[str] = ("cat", "dog"), *, epochs: int = 8, test: bool = True, images: int = 50
) -> Written:
    """Make up a run with random mistakes from a fixed seed."""
    history = [_epoch(number) for number in range(1, epochs + 1)]
    best = max(history, key=lambda line: (line["val_accuracy"], -line["val_loss"]))
    val, tested = (measured(draw_confusion(len(classes), images, seed=seed), classes) for seed in (1, 2))
    facts = {
        "backbone": "torchvision/vgg16",
        "weights": {
            "label": "IMAGENET1K_V1",
            "url": "https://download.pytorch.org/models/vgg16-397923af.pth",
            "license": "BSD-3-Clause",
        },
        "classes": list(classes),
        "recipe": {
            "weights": None, "head": "linear", "train": "from:features.24", "epochs": epochs, "batch_size": 32,
            "lr": 0.0003, "optimizer": "adamw", "schedule": "onecycle", "weight_decay": 0.01, "label_smoothing": 0.0,
            "augment": "crop-flip", "precision": "auto", "device": "auto", "seed": 0, "patience": None, "workers": None,
        },
        "input": {
            "size": (3, 224, 224), "resize": 256, "crop": "center", "interpolation": "bilinear",
            "mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225), "min_size": 32,
        },
        "data": {
            "asked": "cats_dogs",
            "fingerprint": DIGEST[::-1],
            "images": {"train": 2000, "val": val["images"], "test": tested["images"] if test else 0},
            "left_out": [
                {"path": "/data/cats_dogs/train/cat/.broken.jpg", "reason": "cut off: 1,024 bytes are missing"},
                {"path": "/data/cats_dogs/train/dog/notes.txt", "reason": "no image"},
                {"path": "/data/cats_dogs/val/dog/list.txt", "reason": "no image"},
            ],
        },
        "hardware": {"device": "cuda:0", "name": "NVIDIA A100-SXM4-40GB", "precision": "bf16"},
        "versions": {"python": "3.12.4", "zoo": "0.1.0", "torch": "2.11.0", "torchvision": "0.26.0"},
        "started": "2026-03-01T14:03:07+00:00",
        "blocks": [
            {"name": f"features.{number}", "learns": number >= 24} for number in (0, 5, 10, 17, 24)
        ] + [{"name": "classifier", "learns": True}],
        "params": {"total": 134_268_738, "learning": 126_633_474},
        "frozen": {"before": DIGEST, "after": DIGEST},
        "best": {key: best[key] for key in ("epoch", "val_accuracy", "val_loss")},
        "val": val,
        "epochs": epochs,
        "seconds": 192.4,
    }  # fmt: skip
    facts["best"]["val_accuracy"] = val["accuracy"]
    if test:
        facts["test"] = {"loss": 0.21, **tested}
    return Written(facts, history)


def draw_confusion(count: int, images: int, *, seed: int) -> list[list[int]]:
    """Generate a confusion matrix with about ``images`` images per class, most of them correct."""
    draw = random.Random(seed)
    confusion = [[0] * count for _ in range(count)]
    for truth in range(count):
        for _ in range(images + draw.randint(-images // 5, images // 5)):
            neighbor = (truth + draw.choice([1, 1, 1, 2, -1])) % count
            confusion[truth][truth if draw.random() < 0.92 - 0.2 * (truth % 7 == 3) else neighbor] += 1
    return confusion


def measured(confusion: list[list[int]], classes: Sequence[str]) -> dict[str, Any]:
    """Compute the metrics of a confusion matrix as the engine does."""
    total = sum(map(sum, confusion))
    said = [sum(column) for column in zip(*confusion, strict=True)]
    return {
        "accuracy": sum(row[index] for index, row in enumerate(confusion)) / total,
        "balanced_accuracy": 0.875,
        "calibration": {"error": 0.0625, "bins": [{"images": total, "probability": 0.75, "accuracy": 0.8125}]},
        "images": total,
        "per_class": {
            name: {
                "images": sum(confusion[index]),
                "precision": confusion[index][index] / said[index] if said[index] else None,
                "recall": confusion[index][index] / sum(confusion[index]) if sum(confusion[index]) else None,
                "f1": 2 * confusion[index][index] / (said[index] + sum(confusion[index])) if said[index] else None,
            }
            for index, name in enumerate(classes)
        },
        "confusion": confusion,
    }


def _epoch(number: int) -> dict[str, Any]:
    wave = 0.03 * math.sin(number * 2.4)
    return {
        "epoch": number,
        "train_loss": 0.07 + 0.75 * math.exp(-number / 2.2),
        "train_accuracy": 0.975 - 0.35 * math.exp(-number / 2),
        "val_loss": 0.19 + 0.4 * math.exp(-number / 1.4) + 0.004 * number + wave / 2,
        "val_accuracy": 0.93 - 0.2 * math.exp(-number / 1.5) - wave / 2,
        "lr": 0.0003 * math.sin(math.pi * min(number / 9, 0.99)),
        "train_seconds": 18.3,
        "seconds": 21.7 + number / 7,
    }
