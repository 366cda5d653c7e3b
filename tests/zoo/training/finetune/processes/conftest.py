"""Runs of several processes, and what each of them holds at the end."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from torch import Tensor

from quick_runs import LEARNS
from told import Told
from zoo.engine.batches import BatchSource
from zoo.engine.phase import Phase
from zoo.engine.state import TrainingState
from zoo.registry.registry import Registry
from zoo.training.finetune import finetune


@dataclass(frozen=True)
class Held:
    """What a process came to."""

    path: Path
    facts: Mapping[str, Any]
    #: Weights, statistics, averages, and what the optimizer remembers, after the last epoch.
    tensors: Mapping[str, Tensor]
    lines: list[str]


Train = Callable[..., Held]


@pytest.fixture
def train(registry: Registry, photos: Path, monkeypatch: pytest.MonkeyPatch) -> Train:
    """Train the tiny network, in a process of several or alone."""
    held: dict[str, Tensor] = {}
    run = Phase.run

    def run_and_hold(fit: Phase, feed: BatchSource, state: TrainingState, *others: Any) -> None:
        run(fit, feed, state, *others)
        held.clear()
        held.update({name: tensor.clone() for name, tensor in state.capture().tensors.items()})

    monkeypatch.setattr(Phase, "run", run_and_hold)

    def train(output: Path, registry: Registry = registry, data: Path = photos, **options: Any) -> Held:
        told = Told()
        options = {**LEARNS, "precision": "fp32", **options}
        run = finetune("net", data, output=output, registry=registry, progress=told, **options)
        return Held(run.path, run.facts, dict(held), told.lines)

    return train


@pytest.fixture
def elsewhere(tmp_path: Path) -> Callable[[int], Path]:
    """Let a process work in a folder of its own, as if it were on another machine; returns the folder."""

    def go(rank: int) -> Path:
        folder = tmp_path / f"rank-{rank}"
        folder.mkdir(exist_ok=True)
        os.chdir(folder)
        return folder

    return go
