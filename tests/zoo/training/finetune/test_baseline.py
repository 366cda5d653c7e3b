"""What the start was worth: the run beside the same network from random weights."""

from __future__ import annotations

from pathlib import Path

import pytest
from safetensors.torch import save_file
from torch import Tensor

from quick_runs import LEARNS, QUICK, read_facts
from told import Told
from zoo.registry.recipe import BACKBONE_LR
from zoo.registry.registry import Registry
from zoo.training.callbacks import RunCallbacks
from zoo.training.finetune import finetune


@pytest.fixture
def weights(source: dict[str, Tensor], tmp_path: Path) -> str:
    save_file(source, tmp_path / "start.safetensors")
    return str(tmp_path / "start.safetensors")


def test_the_gain_is_the_difference_to_the_run_from_random_weights(
    registry: Registry, photos: Path, output: Path, weights: str
) -> None:
    told, options = Told(), {**QUICK, "weights": weights, "train": "head", "lr": 0.5, "baseline": "scratch"}
    run = finetune("net", photos, output=output, registry=registry, progress=told, **options)
    other = read_facts(output / "baseline")
    assert (other["weights"]["label"], other["recipe"]["train"], other["epochs"]) == ("none", "all", 1)
    assert other["recipe"]["lr"] == 3e-4  # of a whole network, not the head's
    assert other["recipe"]["batch_size"] == QUICK["batch_size"]
    assert run.facts["baseline"] == {
        "path": "baseline",
        "split": "val",
        "accuracy": other["val"]["accuracy"],
        "gain": run.facts["val"]["accuracy"] - other["val"]["accuracy"],
    }
    assert read_facts(output)["baseline"] == run.facts["baseline"]
    assert any("points on the val images" in line for line in told.lines)


@pytest.mark.parametrize(("lr", "word"), [(0.02, "Transfer gain"), (0.0, "Negative transfer")])
def test_the_report_calls_it_by_its_name(
    registry: Registry, photos: Path, output: Path, monkeypatch: pytest.MonkeyPatch, *, lr: float, word: str
) -> None:
    # The baseline learns at the default rate, which is made one that it learns well with.
    monkeypatch.setitem(BACKBONE_LR, "adamw", 0.02 - lr)
    options = {**LEARNS, "epochs": 6, "train": "from:stem", "lr": lr, "baseline": "scratch"}
    run = finetune("net", photos, output=output, registry=registry, **options)
    assert (run.facts["baseline"]["gain"] >= 0) == (word == "Transfer gain")
    assert word in (output / "report.html").read_text(encoding="utf-8")


def test_an_interrupted_baseline_goes_on(registry: Registry, photos: Path, output: Path) -> None:
    options, steps = {**LEARNS, "baseline": "scratch"}, []
    on_step = RunCallbacks.on_step
    with pytest.MonkeyPatch.context() as monkeypatch:

        def interrupt(watch: RunCallbacks) -> None:
            on_step(watch)
            steps.append(1)
            if len(steps) == 22:  # of the baseline, whose run has 16 steps before it
                raise KeyboardInterrupt

        monkeypatch.setattr(RunCallbacks, "on_step", interrupt)
        with pytest.raises(KeyboardInterrupt):
            finetune("net", photos, output=output, registry=registry, **options)
        run = finetune("net", photos, output=output, resume=True, registry=registry, **options)
    assert len(steps) == 32
    assert read_facts(output / "baseline")["resumed"] == [2]
    assert run.facts["baseline"]["accuracy"] == read_facts(output / "baseline")["val"]["accuracy"]
