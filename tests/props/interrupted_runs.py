"""Runs that are interrupted, and a description of a run's result."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from quick_runs import read_facts
from zoo.training.callbacks import RunCallbacks

#: Fields that contain times.
TIMES = ("seconds", "train_seconds")


class Interrupts:
    """Interruptions of a run after the given steps."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *steps: int) -> None:
        self.left = list(steps)
        self.taken = 0
        on_step = RunCallbacks.on_step

        def interrupt(watch: RunCallbacks) -> None:
            on_step(watch)
            self.taken += 1
            if self.left and self.taken == self.left[0]:
                self.left.pop(0)
                raise KeyboardInterrupt

        monkeypatch.setattr(RunCallbacks, "on_step", interrupt)


def describe(output: Path) -> dict[str, Any]:
    """Return all results of a run except times."""
    lines = [json.loads(line) for line in (output / "history.jsonl").read_text(encoding="utf-8").splitlines()]
    facts = read_facts(output)
    return {
        "model": hashlib.sha256((output / "model.safetensors").read_bytes()).hexdigest(),
        "predictions": (output / "predictions.jsonl").read_text(encoding="ascii").splitlines(),
        "history": [{name: value for name, value in line.items() if name not in TIMES} for line in lines],
        **{name: facts[name] for name in ("best", "val", "frozen", "phases", "epochs")},
    }
