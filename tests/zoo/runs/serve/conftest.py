from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

pytest.importorskip("uvicorn", reason="uvicorn is not installed")
pytest.importorskip("starlette", reason="starlette is not installed")

from served import Served, serving
from zoo.registry.registry import Registry
from zoo.runs.classifier import Classifier, load


@pytest.fixture
def classifier(train_once: Callable[..., Path], registry: Registry) -> Classifier:
    run = train_once(weights="none", train="all", epochs=1, batch_size=8, workers=0, device="cpu")
    return load(run, device="cpu", registry=registry)


@pytest.fixture
def served(classifier: Classifier, registry: Registry) -> Iterator[Served]:
    with serving(classifier, registry) as served:
        yield served


@pytest.fixture
def photo(photos: Path) -> bytes:
    return min(photos.rglob("*.png")).read_bytes()
