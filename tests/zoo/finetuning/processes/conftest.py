"""Runs of several processes, and what each of them holds at the end."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from torch import Tensor

import zoo.finetuning
from quick_runs import LEARNS
from told import Told
from zoo.engine.state import State
from zoo.finetuning import finetune
from zoo.registry import Registry


@dataclass(frozen=True)
class Held:
    """What a process came to."""

    path: Path
    facts: Mapping[str, Any]
    #: Weights, statistics, averages, and what the optimizer remembers.
    tensors: Mapping[str, Tensor]
    lines: list[str]


Train = Callable[..., Held]


@pytest.fixture
def train(registry: Registry, photos: Path, monkeypatch: pytest.MonkeyPatch) -> Train:
    """Train the tiny network, in a process of several or alone."""
    states: list[State] = []

    def note_state(plan: Any, state: State, *others: Any, original: Any = zoo.finetuning.train) -> None:
        states.append(state)
        original(plan, state, *others)

    monkeypatch.setattr(zoo.finetuning, "train", note_state)

    def train(output: Path, registry: Registry = registry, data: Path = photos, **options: Any) -> Held:
        told = Told()
        states.clear()
        options = {**LEARNS, "precision": "fp32", **options}
        run = finetune("net", data, output=output, registry=registry, progress=told, **options)
        tensors = {name: tensor.clone() for state in states[:1] for name, tensor in state.capture().tensors.items()}
        return Held(run.path, run.facts, tensors, told.lines)

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
