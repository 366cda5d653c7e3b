"""TensorBoard's own reader finds every epoch of a run once, also if the run was killed and repeats epochs."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("tensorboard", reason="tensorboard is not installed")
pytest.importorskip("zoo_tensorboard", reason="the plugin is not installed")

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.backend.event_processing.event_file_loader import EventFileLoader

import zoo
from zoo_tensorboard import TAGS

OPTIONS: dict[str, Any] = {"data": "suns_moons", "device": "cpu", "workers": 0, "train": "all", "augment": "none"}


def read_events(run: Path) -> dict[str, list[tuple[int, float]]]:
    """Return the steps and values of each tag, as TensorBoard shows them."""
    reader = EventAccumulator(str(run / "tensorboard")).Reload()
    return {tag: [(event.step, event.value) for event in reader.Scalars(tag)] for tag in reader.Tags()["scalars"]}


def read_history(run: Path) -> list[Mapping[str, Any]]:
    return [json.loads(line) for line in (run / "history.jsonl").read_text(encoding="utf-8").splitlines()]


def count_events(run: Path) -> int:
    """Count the values of the training loss in all files, including those that TensorBoard drops."""
    files = (run / "tensorboard").iterdir()
    return sum(
        value.tag == TAGS["train_loss"]
        for path in files
        for event in EventFileLoader(str(path)).Load()
        for value in event.summary.value
    )


def assert_equal(run: Path) -> None:
    """Assert that TensorBoard shows every epoch of the history once, with its metrics."""
    found, history = read_events(run), read_history(run)
    assert found.keys() == {*TAGS.values()}
    for name, tag in TAGS.items():
        assert found[tag] == [(line["epoch"], pytest.approx(line[name], rel=1e-6)) for line in history]


def kill_and_resume(folder: Path, killing: dict[str, str], *options: str) -> Path:
    """Run four epochs in a process that is killed after the third, and resume the run in another process."""
    command = [sys.executable, "-m", "zoo", "finetune", "tiny", "--data", "suns_moons", "--device", "cpu"]
    command += ["--epochs", "4", "--set", "workers=0", "--output", "run", "--resume", *options]
    for environment, code in ((killing, -signal.SIGKILL), ({**killing, "ZOO_DISABLE_PLUGINS": "zz"}, 0)):
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == code, done.stderr
    return folder / "run"


def test_tensorboard_shows_the_metrics_of_every_epoch(tmp_path: Path) -> None:
    run = zoo.finetune("tiny", output=tmp_path / "run", epochs=2, **OPTIONS)
    assert_equal(run.path)
    assert len(read_history(run.path)) == 2


def test_a_run_and_its_baseline_have_their_own_events(tmp_path: Path) -> None:
    run = zoo.finetune("tiny", output=tmp_path / "run", epochs=1, baseline="scratch", **OPTIONS)
    assert_equal(run.path)
    assert_equal(run.path / "baseline")


def test_epochs_that_are_repeated_after_a_kill_are_shown_once(tmp_path: Path, killing: dict[str, str]) -> None:
    # An epoch has two steps, so the only checkpoint is in epoch 2, and the killed process ended epochs 1, 2 and 3.
    run = kill_and_resume(tmp_path, killing, "--train", "all", "--set", "augment=none", "--set", "save_every=4")
    assert json.loads((run / "run.json").read_text(encoding="utf-8"))["resumed"] == [2]
    assert count_events(run) == 6
    assert_equal(run)


def test_a_run_that_is_killed_before_its_first_checkpoint_starts_again(tmp_path: Path, killing: dict[str, str]) -> None:
    run = kill_and_resume(tmp_path, killing)
    assert count_events(run) == 7
    assert_equal(run)
