"""Eight processes on two simulated machines have the same result as one process."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from acme import draw_photos
from made_registries import registry_of
from plain import make_plain
from worlds import get_results

#: Number of processes, and number of processes on each machine.
SIZE, LOCAL = 8, 4
OPTIONS: dict[str, dict[str, Any]] = {
    "all": {"train": "all", "optimizer": "sgd", "ema": 0.9},
    "head": {"train": "head", "optimizer": "sgd", "lr": 0.5},  # Each machine caches the features of all images.
}


@pytest.mark.parametrize("train_option", ["all", pytest.param("head", marks=pytest.mark.breadth)])
def test_eight_processes_on_two_machines_have_the_same_result_as_one(
    train: Callable[..., Any], tmp_path: Path, train_option: str
) -> None:
    # The last batch has three images and val has five, so some processes get none.
    for name, seed, count, val in (("blue", 1, 19, 3), ("red", 2, 18, 2)):
        draw_photos(tmp_path / "photos" / "train", per_class=count, classes=(name,), seed=seed)
        draw_photos(tmp_path / "photos" / "val", per_class=val, classes=(name,), seed=10 * seed)
    registry = registry_of(make_plain())

    def run(name: str) -> Any:
        options = {"epochs": 2, "batch_size": 17, **OPTIONS[train_option]}
        return train(tmp_path / name, registry, tmp_path / "photos", **options)

    def run_in_machine(rank: int) -> Any:
        cache = str(tmp_path / f"cache-{rank // LOCAL}")
        os.environ |= {"LOCAL_RANK": str(rank % LOCAL), "LOCAL_WORLD_SIZE": str(LOCAL), "ZOO_CACHE": cache}
        return run("together")

    first, *others = get_results(SIZE, run_in_machine)
    alone = run("alone")
    torch.testing.assert_close(first.tensors, alone.tensors, rtol=0, atol=1e-5)
    assert first.facts["val"]["confusion"] == alone.facts["val"]["confusion"]
    assert first.facts["hardware"]["processes"] == SIZE
    for other in others:
        assert all(torch.equal(tensor, other.tensors[name]) for name, tensor in first.tensors.items())
    caches = [
        sorted(path.name for path in (tmp_path / f"cache-{machine}" / "features").glob("*")) for machine in (0, 1)
    ]
    assert caches[0] == caches[1]
    assert bool(caches[0]) is (train_option == "head")
