from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from quick_runs import QUICK
from zoo.registry.registry import Registry
from zoo.training.finetune import finetune

Main = Callable[..., int]


@pytest.fixture
def runs(registry: Registry, photos: Path, tmp_path: Path) -> list[Path]:
    for train in ("head", "all"):
        finetune("net", photos, output=tmp_path / train, registry=registry, **{**QUICK, "train": train})
    return [tmp_path / "head", tmp_path / "all"]


def test_runs_are_compared_in_a_table(run: Main, runs: list[Path], capfd: pytest.CaptureFixture[str]) -> None:
    assert run("compare", *runs) == 0
    printed = capfd.readouterr()
    title, *lines, images = printed.out.splitlines()
    assert title.split()[:4] == ["RUN", "BACKBONE", "TRAIN", "ACCURACY"]
    assert {line.split()[2] for line in lines} == {"head", "all"}
    assert [line.split()[5] for line in lines] == ["10", "10"]
    assert images == "accuracy and gain on the validation images"
    assert "the difference may be due to chance" in printed.err


def test_json_is_an_array_with_one_object_per_run(
    run: Main, runs: list[Path], capfd: pytest.CaptureFixture[str]
) -> None:
    assert run("compare", *runs, "--json") == 0
    first, second = json.loads(capfd.readouterr().out)
    assert first["accuracy"] >= second["accuracy"]
    assert {first["run"], second["run"]} == set(map(str, runs))


def test_a_folder_that_is_not_a_run_is_an_error_of_one_line(
    run: Main, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run("compare", tmp_path) == 1
    assert "is not a run folder: it has no model" in capfd.readouterr().err


def test_comparing_no_runs_is_wrong_usage(run: Main) -> None:
    assert run("compare") == 2
