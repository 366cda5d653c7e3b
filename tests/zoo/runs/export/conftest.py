"""A run of a network with pretrained weights on drawn images, whose fine structures depend on the interpolation."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from zoo.runs.export import parity
from zoo_tiny import make_suns_moons


@pytest.fixture(scope="session")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The images of the run."""
    folder = tmp_path_factory.mktemp("drawn") / "suns_moons"
    make_suns_moons(folder)
    return folder


@pytest.fixture(scope="session")
def trained(drawn: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run. Tests only read it."""
    from zoo.training.finetune import finetune

    return finetune(
        "tiny", drawn, output=tmp_path_factory.mktemp("tiny") / "run", epochs=6, device="cpu", workers=0
    ).path


@pytest.fixture
def tiny_run(trained: Path, tmp_path: Path) -> Path:
    """A copy of the run."""
    return Path(shutil.copytree(trained, tmp_path / "run"))


@pytest.fixture
def few_images(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compare only a few validation images."""
    monkeypatch.setattr("zoo.runs.export.batches.MAX_IMAGES", 12)
    assert parity.BOUNDS["images"] == 5e-3
