"""Options for runs that take a moment, and a function that reads their results."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

#: Enough training to classify blue and red.
LEARNS: dict[str, Any] = {
    "weights": "none",
    "train": "all",
    "epochs": 4,
    "batch_size": 6,
    "lr": 0.02,
    "workers": 0,
    "device": "cpu",
}
#: One epoch with three steps.
QUICK: dict[str, Any] = {**LEARNS, "epochs": 1, "batch_size": 8}
#: The same options as flags. --config has to set workers to 0, so that images are loaded in the main thread.
QUICK_FLAGS = ("--weights", "none", "--train", "all", "--batch-size", "8", "--epochs", "1", "--device", "cpu")

FILES = ["README.md", "history.jsonl", "model.safetensors", "predictions.jsonl", "report.html", "run.json"]


def read_facts(run: Path) -> dict[str, Any]:
    """Return run.json of a run folder."""
    facts: dict[str, Any] = json.loads((run / "run.json").read_text(encoding="utf-8"))
    return facts
