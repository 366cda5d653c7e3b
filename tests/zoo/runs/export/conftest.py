"""A run of a network with pretrained weights on drawn images, whose fine structures depend on the interpolation."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from zoo.runs.export import parity
from zoo_tiny import make_suns_moons


@pytest.fixture
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The images of the run."""
    folder = tmp_path_factory.getbasetemp() / "suns_moons"
    if not folder.exists():
        make_suns_moons(folder)
    return folder


@pytest.fixture
def tiny_run(drawn: Path, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the run."""
    from zoo.training.finetune import finetune

    trained = tmp_path_factory.getbasetemp() / "tiny-run"
    if not trained.exists():
        finetune("tiny", drawn, output=trained, epochs=6, device="cpu", workers=0)
    return Path(shutil.copytree(trained, tmp_path / "run"))


@pytest.fixture
def few_images(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compare only a few validation images."""
    monkeypatch.setattr("zoo.runs.export.batches.MAX_IMAGES", 12)
    assert parity.BOUNDS["images"] == 5e-3
