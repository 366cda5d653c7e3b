"""A trained run and its classifier."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from quick_runs import LEARNS, read_facts
from zoo.registry.registry import Registry
from zoo.runs.classifier import Classifier, load
from zoo.training.run import Run


@pytest.fixture
def run(train_once: Callable[..., Path]) -> Run:
    """A trained run, as a separate copy for each test."""
    folder = train_once(**LEARNS)
    return Run(folder, read_facts(folder))


@pytest.fixture
def classifier(run: Run, registry: Registry) -> Classifier:
    return load(run, device="cpu", registry=registry)


@pytest.fixture
def images(photos: Path) -> list[Path]:
    return sorted((photos / "val").rglob("*.png"))
