"""Constants and parameters without gradients, in several processes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from masked import make_masked_registry
from quick_runs import QUICK
from recording_progress import RecordingProgress
from worlds import get_results
from zoo.training.finetune import finetune


def test_processes_train_with_parameters_that_no_gradient_reaches_in_any_of_them(photos: Path, tmp_path: Path) -> None:
    def train(_rank: int) -> tuple[Any, Any, int]:
        progress, registry = RecordingProgress(), make_masked_registry(unused=())
        options = {**QUICK, "epochs": 2, "train": "head-then-all", "precision": "fp32"}
        run = finetune("net", photos, output=tmp_path / "run", registry=registry, progress=progress, **options)
        notes = sum("no gradient reached 8 of the 850 parameters" in line for line in progress.lines)
        return run.facts["no_gradient"], run.facts["params"]["fixed"], notes

    first, second = get_results(2, train)
    found = {"phase": 2, "tensors": 1, "params": 8, "learning": 850, "names": ["token"]}
    assert first == ([found], 640, 1)
    assert second == ([found], 640, 0)


def test_shards_are_trained_with_constants_and_without_gradients(photos: Path, tmp_path: Path) -> None:
    def train(_rank: int) -> tuple[Any, bool]:
        registry = make_masked_registry(unused=())
        options = {**QUICK, "shard": True, "precision": "fp32"}
        facts = finetune("net", photos, output=tmp_path / "run", registry=registry, **options).facts
        return facts["no_gradient"][0]["params"], facts["frozen"]["before"] == facts["frozen"]["after"]

    assert get_results(2, train) == [(8, True)] * 2
