"""Sharded networks: the result is the same, and no process stores all parameters."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from acme import draw_photos
from quick_runs import LEARNS
from worlds import Ended, in_world
from zoo.errors import OptionError
from zoo.models.sharding import local_tensor
from zoo.registry.recipe import Recipe
from zoo.registry.registry import Registry
from zoo.training.callbacks import RunCallbacks
from zoo.training.finetune import finetune
from zoo.training.prepare import Plan

#: The optimizer is SGD, because Adam amplifies gradients that are nearly zero.
OPTIONS: dict[str, Any] = {
    **LEARNS, "precision": "fp32", "optimizer": "sgd", "epochs": 3, "ema": 0.9, "clip_norm": 0.5, "save_every": 2
}  # fmt: skip


@pytest.fixture(name="tested_photos")
def _tested_photos(tmp_path: Path) -> Path:
    """Photos whose last batch and validation split cannot be divided evenly between the processes."""
    for seed, (split, count) in enumerate({"train": 8, "val": 3, "test": 2}.items()):
        draw_photos(tmp_path / "photos" / split, per_class=count, seed=seed)
    (tmp_path / "photos" / "val" / "red" / "0.png").unlink()
    return tmp_path / "photos"


def run_shared(photos: Path, output: Path, registry: Registry, **options: Any) -> list[Ended]:
    """Train in two processes."""

    def work(_rank: int) -> dict[str, Any]:
        return dict(finetune("net", photos, output=output, registry=registry, **{**OPTIONS, **options}).facts)

    return in_world(2, work)


def weights_of(run: Path) -> dict[str, Tensor]:
    return load_file(run / "model.safetensors")


@pytest.mark.parametrize("train", [pytest.param("all", marks=pytest.mark.breadth), "from:layer2"])
def test_a_sharded_run_has_the_same_result_as_an_unsharded_one(
    tested_photos: Path, tmp_path: Path, registry: Registry, train: str
) -> None:
    for ended in run_shared(tested_photos, tmp_path / "sharded", registry, shard=True, train=train):
        assert ended.code == 0, ended.raised
    run_shared(tested_photos, tmp_path / "unsharded", registry, train=train, cache=False)
    sharded, unsharded = (json.loads((tmp_path / name / "run.json").read_text()) for name in ("sharded", "unsharded"))
    torch.testing.assert_close(weights_of(tmp_path / "sharded"), weights_of(tmp_path / "unsharded"), rtol=0, atol=1e-5)
    assert sharded["test"]["confusion"] == unsharded["test"]["confusion"]
    assert sharded["frozen"] == unsharded["frozen"]


@pytest.mark.parametrize("batch_size", [5, pytest.param(7, marks=pytest.mark.breadth)])
def test_processes_with_unequal_shares_of_a_batch_do_the_same_number_of_passes(
    tested_photos: Path, tmp_path: Path, registry: Registry, batch_size: int
) -> None:
    options = {"shard": True, "accumulate": 4, "batch_size": batch_size, "epochs": 1}
    for ended in run_shared(tested_photos, tmp_path / "run", registry, **options):
        assert ended.code == 0, ended.raised


@pytest.mark.breadth
def test_no_process_stores_more_than_its_shards(tested_photos: Path, tmp_path: Path, registry: Registry) -> None:
    def work(_rank: int) -> tuple[int, int]:
        sizes: list[tuple[int, int]] = []
        begin = Plan.begin

        def measure(plan: Plan, phase: int) -> Any:
            parameters = list(plan.network.model.parameters())
            sizes.append((sum(local_tensor(p).numel() for p in parameters), sum(p.numel() for p in parameters)))
            return begin(plan, phase)

        Plan.begin = measure  # type: ignore[method-assign]
        finetune("net", tested_photos, output=tmp_path / "run", registry=registry, **OPTIONS, shard=True)
        return sizes[0]

    (first, whole), (second, _) = (ended.result for ended in in_world(2, work))
    assert first + second == whole
    assert max(first, second) < 0.52 * whole


@pytest.mark.breadth
def test_a_sharded_run_that_is_resumed_has_the_same_result(
    tested_photos: Path, tmp_path: Path, registry: Registry
) -> None:
    def interrupt(_rank: int) -> None:
        on_step, steps = RunCallbacks.on_step, []

        def stop(callbacks: RunCallbacks) -> None:
            on_step(callbacks)
            steps.append(1)
            if len(steps) == 5:
                raise KeyboardInterrupt

        RunCallbacks.on_step = stop  # type: ignore[method-assign]
        finetune("net", tested_photos, output=tmp_path / "run", registry=registry, **OPTIONS, shard=True)

    first, second = in_world(2, interrupt)
    assert first.raised.startswith("KeyboardInterrupt")
    assert second.raised.startswith("ReportedByPeer"), second.raised
    for ended in run_shared(tested_photos, tmp_path / "run", registry, shard=True, resume=True):
        assert ended.code == 0, ended.raised
    run_shared(tested_photos, tmp_path / "whole", registry, shard=True)
    assert (tmp_path / "run" / "model.safetensors").read_bytes() == (
        tmp_path / "whole" / "model.safetensors"
    ).read_bytes()
    losses = [
        [json.loads(line)["val_loss"] for line in (tmp_path / name / "history.jsonl").read_text().splitlines()]
        for name in ("run", "whole")
    ]
    assert losses[0] == losses[1]


def test_too_few_images_for_the_number_of_processes_are_refused(
    tmp_path: Path, registry: Registry, few_photos: Path
) -> None:
    def work(_rank: int) -> None:
        finetune("net", few_photos, output=tmp_path / "run", registry=registry, **OPTIONS, shard=True)

    first, *_ = in_world(3, work)
    assert "`shard`: 4 train images are too few for 3 processes" in first.raised


def test_fewer_images_than_processes_that_synchronize_batch_norms_are_refused(
    tmp_path: Path, registry: Registry, few_photos: Path
) -> None:
    def work(_rank: int) -> None:
        finetune(
            "net",
            few_photos,
            output=tmp_path / "run",
            registry=registry,
            **{**OPTIONS, "batch_size": 10},
            sync_batch_norm=True,
        )

    first, *_ = in_world(5, work)
    assert "`sync_batch_norm`: 4 train images are too few for 5 processes" in first.raised


@pytest.mark.parametrize("train", ["head-then-all", "gradual"])
def test_several_phases_cannot_be_sharded(train: str) -> None:
    with pytest.raises(OptionError, match="`shard` needs a single phase"):
        Recipe(shard=True, train=train, epochs=6)
