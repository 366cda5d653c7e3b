"""Networks that are divided between processes: the same run, and no process holds all of it."""

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
from zoo.models.sharding import part
from zoo.registry.recipe import Recipe
from zoo.registry.registry import Registry
from zoo.training.callbacks import RunCallbacks
from zoo.training.finetune import finetune
from zoo.training.prepare import Plan

#: SGD, for Adam makes much of gradients that are nearly zero.
OPTIONS: dict[str, Any] = {
    **LEARNS, "precision": "fp32", "optimizer": "sgd", "epochs": 3, "ema": 0.9, "clip_norm": 0.5, "save_every": 2
}  # fmt: skip


@pytest.fixture(name="tested_photos")
def _tested_photos(tmp_path: Path) -> Path:
    """Photos of which the last batch and val cannot be shared evenly."""
    for seed, (split, count) in enumerate({"train": 8, "val": 3, "test": 2}.items()):
        draw_photos(tmp_path / "photos" / split, per_class=count, seed=seed)
    (tmp_path / "photos" / "val" / "red" / "0.png").unlink()
    return tmp_path / "photos"


def run_shared(photos: Path, output: Path, registry: Registry, **options: Any) -> list[Ended]:
    """Run in two processes."""

    def work(_rank: int) -> dict[str, Any]:
        return dict(finetune("net", photos, output=output, registry=registry, **{**OPTIONS, **options}).facts)

    return in_world(2, work)


def weights_of(run: Path) -> dict[str, Tensor]:
    return load_file(run / "model.safetensors")


@pytest.mark.parametrize("train", ["all", "from:layer2"])
def test_a_divided_network_learns_what_an_undivided_one_does(
    tested_photos: Path, tmp_path: Path, registry: Registry, train: str
) -> None:
    for ended in run_shared(tested_photos, tmp_path / "divided", registry, shard=True, train=train):
        assert ended.code == 0, ended.raised
    run_shared(tested_photos, tmp_path / "undivided", registry, train=train, cache=False)
    divided, undivided = (json.loads((tmp_path / name / "run.json").read_text()) for name in ("divided", "undivided"))
    torch.testing.assert_close(weights_of(tmp_path / "divided"), weights_of(tmp_path / "undivided"), rtol=0, atol=1e-5)
    assert divided["test"]["confusion"] == undivided["test"]["confusion"]
    assert divided["frozen"] == undivided["frozen"]


@pytest.mark.parametrize("batch_size", [5, 7])
def test_processes_that_have_unequal_shares_run_a_divided_network_equally_often(
    tested_photos: Path, tmp_path: Path, registry: Registry, batch_size: int
) -> None:
    options = {"shard": True, "accumulate": 4, "batch_size": batch_size, "epochs": 1}
    for ended in run_shared(tested_photos, tmp_path / "run", registry, **options):
        assert ended.code == 0, ended.raised


def test_no_process_holds_more_than_its_part(tested_photos: Path, tmp_path: Path, registry: Registry) -> None:
    def work(_rank: int) -> tuple[int, int]:
        sizes: list[tuple[int, int]] = []
        begin = Plan.begin

        def look(plan: Plan, phase: int) -> Any:
            parameters = list(plan.network.model.parameters())
            sizes.append((sum(part(p).numel() for p in parameters), sum(p.numel() for p in parameters)))
            return begin(plan, phase)

        Plan.begin = look  # type: ignore[method-assign]
        finetune("net", tested_photos, output=tmp_path / "run", registry=registry, **OPTIONS, shard=True)
        return sizes[0]

    (first, whole), (second, _) = (ended.result for ended in in_world(2, work))
    assert first + second == whole
    assert max(first, second) < 0.52 * whole


def test_an_interrupted_run_of_a_divided_network_comes_to_the_same_end(
    tested_photos: Path, tmp_path: Path, registry: Registry
) -> None:
    def interrupt(_rank: int) -> None:
        on_step, steps = RunCallbacks.on_step, []

        def stop(keeper: RunCallbacks) -> None:
            on_step(keeper)
            steps.append(1)
            if len(steps) == 5:
                raise KeyboardInterrupt

        RunCallbacks.on_step = stop  # type: ignore[method-assign]
        finetune("net", tested_photos, output=tmp_path / "run", registry=registry, **OPTIONS, shard=True)

    first, second = in_world(2, interrupt)
    assert first.raised.startswith("KeyboardInterrupt")
    assert second.raised.startswith("SaidElsewhere"), second.raised
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


def test_too_few_images_for_all_processes_are_refused(tmp_path: Path, registry: Registry, few_photos: Path) -> None:
    def work(_rank: int) -> None:
        finetune("net", few_photos, output=tmp_path / "run", registry=registry, **OPTIONS, shard=True)

    first, *_ = in_world(3, work)
    assert "`shard`: 4 train images are too few for 3 processes" in first.raised


@pytest.mark.parametrize("train", ["head-then-all", "gradual"])
def test_phases_are_refused_where_the_network_is_divided(train: str) -> None:
    with pytest.raises(OptionError, match="shard needs one phase"):
        Recipe(shard=True, train=train, epochs=6)
