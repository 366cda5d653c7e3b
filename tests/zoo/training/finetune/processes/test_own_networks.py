"""Several processes train the user's own network as one process does, and require that it is the same in all."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from own_networks import NETWORK, write_network
from plain import build_plain
from quick_runs import LEARNS
from worlds import get_results, in_world
from zoo.runs.model_file import read_tensors
from zoo.training.finetune import finetune

OPTIONS: dict[str, Any] = {
    **{name: value for name, value in LEARNS.items() if name != "weights"},
    "image_size": 16, "precision": "fp32", "lr": 0.005,
}  # fmt: skip
SIZE = 2


@pytest.mark.parametrize(
    "train", ["from:layer2", *(pytest.param(train, marks=pytest.mark.breadth) for train in ("head", "all"))]
)
def test_several_processes_have_the_same_result_as_one(photos: Path, tmp_path: Path, train: str) -> None:
    def run(name: str) -> Path:
        torch.manual_seed(4)
        options = {**OPTIONS, "train": train}
        return finetune(build_plain(None), photos, output=tmp_path / name, **options).path

    alone, together = run("alone"), get_results(SIZE, lambda _rank: run("together"))
    expected, found = (read_tensors(path / "model.safetensors") for path in (alone, together[0]))
    assert together == [tmp_path / "together"] * SIZE
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)


def require_refused(work: Callable[[int], Any]) -> None:
    ended = in_world(SIZE, work)
    assert [each.code != 0 for each in ended] == [True] * SIZE
    assert "rank 1 does not have the same network as rank 0" in "".join(each.raised for each in ended)


def test_different_modules_are_refused(photos: Path, tmp_path: Path) -> None:
    def build(rank: int) -> nn.Module:
        model = build_plain(None)
        if rank:
            model.set_submodule("classifier.2", nn.Linear(12, 12))
        return model

    require_refused(lambda rank: finetune(build(rank), photos, output=tmp_path / "run", **OPTIONS))


def test_different_files_are_refused(photos: Path, tmp_path: Path) -> None:
    def write(rank: int) -> str:
        (tmp_path / str(rank)).mkdir()
        return f"{write_network(tmp_path / str(rank), NETWORK + '# another' * rank)}:build"

    require_refused(lambda rank: finetune(write(rank), photos, output=tmp_path / "run", **OPTIONS))
