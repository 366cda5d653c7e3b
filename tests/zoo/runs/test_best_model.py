from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from zoo.errors import RunError
from zoo.files.download import sha256_of
from zoo.models.weights.header import Header
from zoo.plugin import InputSpec
from zoo.runs.best_model import SHARE, BestModel
from zoo.runs.folder import MODEL, RunFolder

HEADER = Header(
    backbone="acme/net",
    tag=None,
    head="linear",
    classes=("a", "b"),
    input=InputSpec(),
    weights="none",
    weights_license="none",
)


class Clock:
    """A clock that advances by a step whenever it is read."""

    def __init__(self) -> None:
        self.now = 0.0
        self.step = 0.0

    def __call__(self) -> float:
        self.now += self.step
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    return RunFolder.claim(tmp_path / "run", "acme/net", "photos")


@pytest.fixture
def best(folder: RunFolder, clock: Clock) -> BestModel:
    """A best model after a model of zeros was written, which took two seconds."""
    best = BestModel(folder, HEADER, clock)
    clock.step = 2.0
    best.keep(fill(0))
    clock.step = 0.0
    return best


def fill(value: float) -> nn.Linear:
    model = nn.Linear(2, 2)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.fill_(value)
    return model


def read(folder: RunFolder) -> float:
    return float(load_file(folder.path / MODEL)["weight"][0, 0])


def test_the_first_model_is_written_at_once(folder: RunFolder) -> None:
    BestModel(folder, HEADER).keep(fill(3))
    assert read(folder) == 3


def test_a_model_that_follows_too_soon_is_copied_and_written_at_the_end(best: BestModel, folder: RunFolder) -> None:
    model = fill(1)
    best.keep(model)
    with torch.no_grad():
        model.weight.fill_(7)  # Training continues.
    best.write_if_due()
    assert read(folder) == 0
    best.flush()
    assert read(folder) == 1


def test_the_model_in_memory_is_written_when_it_is_due(best: BestModel, folder: RunFolder, clock: Clock) -> None:
    best.keep(fill(1))
    clock.now += 2 * SHARE - 1
    best.write_if_due()
    assert read(folder) == 0
    clock.now += 1
    best.write_if_due()
    assert read(folder) == 1
    before = (folder.path / MODEL).stat().st_mtime_ns
    clock.now += 100
    best.write_if_due()  # No model is in memory.
    assert (folder.path / MODEL).stat().st_mtime_ns == before


def test_a_better_model_replaces_the_one_in_memory(best: BestModel, folder: RunFolder, clock: Clock) -> None:
    best.keep(fill(1))
    clock.now += 2 * SHARE
    best.keep(fill(2))
    assert read(folder) == 2
    best.flush()
    assert read(folder) == 2


def test_a_missing_folder_is_an_error(best: BestModel, folder: RunFolder) -> None:
    (folder.path / MODEL).unlink()
    for file in folder.path.iterdir():
        file.unlink()
    folder.path.rmdir()
    best.keep(fill(1))
    with pytest.raises(RunError, match="cannot be written"):
        best.flush()


def test_the_file_is_hashed_once_after_each_write(
    best: BestModel, folder: RunFolder, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    hashed: list[Path] = []

    def hash_file(path: Path) -> str:
        hashed.append(path)
        return sha256_of(path)

    monkeypatch.setattr("zoo.runs.best_model.sha256_of", hash_file)
    for number in range(2):
        found = [best.find_file() for _ in range(3)]
        assert found == [(folder.path / MODEL, sha256_of(folder.path / MODEL))] * 3
        assert len(hashed) == number + 1
        clock.now += 1000.0
        best.keep(fill(1))


def test_without_a_best_model_there_is_no_file(folder: RunFolder) -> None:
    assert BestModel(folder, HEADER).find_file() is None
