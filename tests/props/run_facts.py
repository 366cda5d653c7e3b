"""The content of a valid run.json."""

from __future__ import annotations

from typing import Any


def make_metrics(correct: int, images: int = 100) -> dict[str, Any]:
    """Return the metrics of a split in which all images are of the first of two classes."""
    recall = {"images": images, "precision": 1.0, "recall": correct / images}
    return {
        "accuracy": correct / images,
        "images": images,
        "per_class": {"blue": recall, "red": {"images": 0, "precision": 0.0, "recall": None}},
        "confusion": [[correct, images - correct], [0, 0]],
    }


def make_facts(name: str = "net", correct: int = 90, **changes: Any) -> dict[str, Any]:
    """Return the facts of a finished run, with some of them changed."""
    return {
        "backbone": f"acme/{name}",
        "weights": {"label": "none", "url": None, "license": None},
        "classes": ["blue", "red"],
        "recipe": {"train": "head", "head": "linear", "epochs": 3},
        "input": {
            "size": [3, 16, 16], "resize": 16, "crop": "center", "interpolation": "bilinear",
            "mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5], "min_size": None,
        },
        "data": {
            "asked": "photos", "fingerprint": "ab", "images": {"train": 24, "val": 100, "test": 0},
            "left_out": [{"path": "photos/x.txt", "reason": "unsupported file type .txt"}],
        },
        "hardware": {"device": "cpu", "name": "cpu", "precision": "fp32", "processes": 1},
        "versions": {"zoo": "0.1.0"},
        "started": "2026-01-01T00:00:00+00:00",
        "blocks": [{"name": "stem", "learns": False}],
        "params": {"total": 2000, "learning": 20},
        "phases": [{"train": "head", "epochs": 3, "lr": 0.005, "frozen": "cd"}],
        "frozen": {"before": "cd", "after": "cd"},
        "best": {"epoch": 2, "val_accuracy": correct / 100, "val_loss": 0.5},
        "val": make_metrics(correct),
        "epochs": 3,
        "seconds": 4.5,
        **changes,
    }  # fmt: skip
