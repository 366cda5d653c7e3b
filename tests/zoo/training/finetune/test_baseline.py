"""The baseline: the same network, trained from random weights."""

from __future__ import annotations

from pathlib import Path

import pytest
from safetensors.torch import save_file
from torch import Tensor

from quick_runs import LEARNS, QUICK, read_facts
from recording_progress import RecordingProgress
from zoo.registry.optimizer_design import BACKBONE_LR
from zoo.registry.registry import Registry
from zoo.training.callbacks import RunCallbacks
from zoo.training.finetune import finetune


@pytest.fixture
def weights(source: dict[str, Tensor], tmp_path: Path) -> str:
    save_file(source, tmp_path / "start.safetensors")
    return str(tmp_path / "start.safetensors")


def test_the_gain_is_the_difference_from_a_run_with_random_weights(
    registry: Registry, photos: Path, output: Path, weights: str
) -> None:
    progress, options = (
        RecordingProgress(),
        {**QUICK, "weights": weights, "train": "head", "lr": 0.5, "baseline": "scratch"},
    )
    run = finetune("net", photos, output=output, registry=registry, progress=progress, **options)
    other = read_facts(output / "baseline")
    assert (other["weights"]["label"], other["recipe"]["train"], other["epochs"]) == ("none", "all", 1)
    assert other["recipe"]["lr"] == 3e-4  # The default for a full network, not for a head.
    assert other["recipe"]["batch_size"] == QUICK["batch_size"]
    assert run.facts["baseline"] == {
        "path": "baseline",
        "split": "val",
        "accuracy": other["val"]["accuracy"],
        "gain": run.facts["val"]["accuracy"] - other["val"]["accuracy"],
    }
    assert read_facts(output)["baseline"] == run.facts["baseline"]
    assert any("points on the val images" in line for line in progress.lines)


@pytest.mark.parametrize(("lr", "word"), [(0.02, "Transfer gain"), (0.0, "Negative transfer")])
def test_the_report_names_the_transfer(
    registry: Registry, photos: Path, output: Path, monkeypatch: pytest.MonkeyPatch, *, lr: float, word: str
) -> None:
    # The baseline uses the default learning rate, which is set to one that works well here.
    monkeypatch.setitem(BACKBONE_LR, "adamw", 0.02 - lr)
    options = {**LEARNS, "epochs": 6, "train": "from:stem", "lr": lr, "baseline": "scratch"}
    run = finetune("net", photos, output=output, registry=registry, **options)
    assert (run.facts["baseline"]["gain"] >= 0) == (word == "Transfer gain")
    assert word in (output / "report.html").read_text(encoding="utf-8")


def test_an_interrupted_baseline_is_resumed(registry: Registry, photos: Path, output: Path) -> None:
    options, steps = {**LEARNS, "baseline": "scratch"}, []
    on_step = RunCallbacks.on_step
    with pytest.MonkeyPatch.context() as monkeypatch:

        def interrupt(callbacks: RunCallbacks) -> None:
            on_step(callbacks)
            steps.append(1)
            if len(steps) == 22:  # The run itself has 16 steps.
                raise KeyboardInterrupt

        monkeypatch.setattr(RunCallbacks, "on_step", interrupt)
        with pytest.raises(KeyboardInterrupt):
            finetune("net", photos, output=output, registry=registry, **options)
        run = finetune("net", photos, output=output, resume=True, registry=registry, **options)
    assert len(steps) == 32
    assert read_facts(output / "baseline")["resumed"] == [2]
    assert run.facts["baseline"]["accuracy"] == read_facts(output / "baseline")["val"]["accuracy"]


def test_the_baseline_has_no_layer_decay(registry: Registry, photos: Path, output: Path) -> None:
    """With it, the random layers near the input would hardly be trained, and the transfer gain would be too high."""
    finetune("net", photos, output=output, registry=registry, **{**QUICK, "layer_decay": 0.5, "baseline": "scratch"})
    assert read_facts(output)["recipe"]["layer_decay"] == 0.5
    assert read_facts(output / "baseline")["recipe"]["layer_decay"] == 1.0
