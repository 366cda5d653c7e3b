"""Runs of several processes, and the state of each process at the end."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from torch import Tensor

from quick_runs import LEARNS
from recording_progress import RecordingProgress
from zoo.engine.batches import BatchSource
from zoo.engine.phase import Phase
from zoo.engine.state import TrainingState
from zoo.registry.registry import Registry
from zoo.training.finetune import finetune


@dataclass(frozen=True)
class Result:
    """The result of a process."""

    path: Path
    facts: Mapping[str, Any]
    #: Weights, statistics, moving averages and optimizer state after the last epoch.
    tensors: Mapping[str, Tensor]
    lines: list[str]


Train = Callable[..., Result]


@pytest.fixture
def train(registry: Registry, photos: Path, monkeypatch: pytest.MonkeyPatch) -> Train:
    """Return a function that trains the tiny network, in one process or in each of several."""
    captured: dict[str, Tensor] = {}
    run = Phase.run

    def run_and_capture(phase: Phase, source: BatchSource, state: TrainingState, *others: Any) -> None:
        run(phase, source, state, *others)
        captured.clear()
        captured.update({name: tensor.clone() for name, tensor in state.capture().tensors.items()})

    monkeypatch.setattr(Phase, "run", run_and_capture)

    def train(output: Path, registry: Registry = registry, data: Path = photos, **options: Any) -> Result:
        progress = RecordingProgress()
        options = {**LEARNS, "precision": "fp32", **options}
        run = finetune("net", data, output=output, registry=registry, progress=progress, **options)
        return Result(run.path, run.facts, dict(captured), progress.lines)

    return train


@pytest.fixture
def elsewhere(tmp_path: Path) -> Callable[[int], Path]:
    """Return a function that gives a process its own folder, as if it ran on another machine."""

    def go(rank: int) -> Path:
        folder = tmp_path / f"rank-{rank}"
        folder.mkdir(exist_ok=True)
        os.chdir(folder)
        return folder

    return go
