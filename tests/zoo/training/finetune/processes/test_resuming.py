"""Runs of several processes that are interrupted and resumed."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable
from functools import partialmethod
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import torch

import zoo.engine.distributed.notices
import zoo.engine.distributed.process_group
from interrupted_runs import Interrupts, describe
from made_registries import registry_of
from plain import make_plain
from quick_runs import FILES, read_facts
from worlds import get_results, in_world
from zoo.errors import ReportedByPeer
from zoo.training.callbacks import Callbacks, RunCallbacks

SIZE = 2
Train = Callable[..., Any]
GRADUAL: dict[str, Any] = {"train": "gradual", "epochs": 3, "augment": "crop-flip", "ema": 0.9}


def describe_whole(train: Train, tmp_path: Path, options: dict[str, Any]) -> dict[str, Any]:
    """Return the result of an uninterrupted run of two processes."""
    get_results(SIZE, lambda _rank: train(tmp_path / "whole", **options).path)
    return describe(tmp_path / "whole")


@pytest.mark.parametrize(
    "options",
    [
        pytest.param(GRADUAL, id="gradual"),
        pytest.param({"train": "head", "augment": "crop-flip", "views": 2}, id="features", marks=pytest.mark.breadth),
        pytest.param({"train": "all", "optimizer": "sgd"}, id="all", marks=pytest.mark.breadth),
    ],
)
def test_a_run_resumes_if_only_the_first_process_has_the_folder(
    train: Train,
    elsewhere: Callable[[int], Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    *,
    options: dict[str, Any],
) -> None:
    expected = describe_whole(train, tmp_path, options)
    Interrupts(monkeypatch, 2, 7)

    def work(rank: int) -> tuple[bool, bool]:
        """Resume until the run is finished."""
        folder, interruptions = elsewhere(rank), 0
        while True:
            try:
                train("run", resume=True, **options)
            except KeyboardInterrupt:
                assert rank == 0
            except ReportedByPeer:
                assert rank == 1
            else:
                return interruptions, any(folder.iterdir())
            interruptions += 1

    assert get_results(SIZE, work) == [(2, True), (2, False)]
    run = tmp_path / "rank-0" / "run"
    assert describe(run) == expected
    assert sorted(path.name for path in run.iterdir()) == FILES
    assert len(read_facts(run)["resumed"]) == 2


@pytest.mark.parametrize("victim", [pytest.param(0, marks=pytest.mark.breadth), 1])
def test_a_run_resumes_after_a_process_was_killed(
    train: Train, tmp_path: Path, output: Path, monkeypatch: pytest.MonkeyPatch, victim: int
) -> None:
    monkeypatch.setattr(zoo.engine.distributed.notices, "PATIENCE", 0.3)
    options = {**GRADUAL, "save_every": 3}
    expected = describe_whole(train, tmp_path, options)

    def work(rank: int) -> None:
        steps = count(1)

        def on_step(callbacks: Callbacks, original: Callable[[Callbacks], None]) -> None:
            original(callbacks)
            if rank == victim and next(steps) == 8:
                os.kill(os.getpid(), signal.SIGKILL)

        for kind in (Callbacks, RunCallbacks):
            monkeypatch.setattr(kind, "on_step", partialmethod(on_step, kind.on_step))
        train(output, **options)

    ended = in_world(SIZE, work)
    assert ended[victim].code == -signal.SIGKILL
    assert ended[1 - victim].raised.startswith(f"PeerError: rank {victim} died")
    get_results(SIZE, lambda _rank: train(output, resume=True, **options).path)
    assert describe(output) == expected


@pytest.mark.breadth
def test_no_step_is_lost_if_images_disappear_in_one_process(
    train: Train, tmp_path: Path, output: Path, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(zoo.engine.distributed.process_group, "ECHO", 0.3)
    monkeypatch.setenv("ZOO_MAX_PIXEL_CACHE", "0")  # No image is kept in memory.
    options: dict[str, Any] = {"train": "all"}
    expected = describe_whole(train, tmp_path, options)
    copy = shutil.copytree(photos, tmp_path / "copy")

    def work(rank: int) -> None:
        if rank == 1:
            monkeypatch.setattr(
                Callbacks, "on_step", lambda _callbacks: shutil.rmtree(copy / "train", ignore_errors=True)
            )
        train(output, data=copy if rank else photos, **options)

    first, other = (ended.raised.partition("\n")[0] for ended in in_world(SIZE, work))
    assert first.startswith("PeerError: rank 1 ended: ")
    assert other.startswith("DataError: rank 1: ")
    shutil.copytree(photos / "train", copy / "train")
    results = get_results(SIZE, lambda rank: train(output, data=copy if rank else photos, resume=True, **options))
    assert any(line.startswith("resuming in epoch 1") for line in results[0].lines)
    assert describe(output) == expected


@pytest.mark.parametrize(("before", "after"), [(2, 1), pytest.param(1, 2, marks=pytest.mark.breadth)])
def test_the_number_of_processes_may_change(
    train: Train, tmp_path: Path, output: Path, monkeypatch: pytest.MonkeyPatch, *, before: int, after: int
) -> None:
    registry, options = registry_of(make_plain()), {"train": "all", "optimizer": "sgd", "epochs": 2}
    whole = train(tmp_path / "whole", registry, **options)
    with monkeypatch.context() as context:
        Interrupts(context, 3)
        assert all(ended.code for ended in in_world(before, lambda _rank: train(output, registry, **options)))
    found = get_results(after, lambda _rank: train(output, registry, resume=True, **options))[0]
    assert f"note: processes has changed from {before} to {after} since the run started" in found.lines
    torch.testing.assert_close(found.tensors, whole.tensors, rtol=0, atol=1e-5)


def test_a_finished_run_is_returned_in_all_processes(train: Train, output: Path) -> None:
    first = get_results(SIZE, lambda _rank: train(output, train="head"))[0]
    before = {path: path.stat().st_mtime_ns for path in output.iterdir()}

    def work(_rank: int) -> tuple[Path, Any]:
        run = train(output, train="head", resume=True)
        return run.path, run.facts

    assert get_results(SIZE, work) == [(output, first.facts)] * SIZE
    assert {path: path.stat().st_mtime_ns for path in output.iterdir()} == before
