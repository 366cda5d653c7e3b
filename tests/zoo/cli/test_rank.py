from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

import pytest
from safetensors.torch import save_file
from torch import Tensor

from zoo.registry.registry import Registry
from zoo.training.rank.record import Ranked

Main = Callable[..., int]
TITLES = [
    "RANK", "NAME", "PROBE", "95%", "KNN", "LOGME", "TOP-1", "PARAMS", "SIZE", "IMAGES/S", "MEMORY", "LICENSE",
]  # fmt: skip


@pytest.fixture
def run(run: Main, registry: Registry, config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Main:
    """Run ``zoo rank`` with only acme installed, and return the exit code."""
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("zoo.registry.registry.open_registry", lambda: registry)
    return lambda *arguments: run("rank", *arguments, "--config", config, "--device", "cpu")


@pytest.fixture
def candidate(source: dict[str, Tensor], tmp_path: Path) -> str:
    save_file(source, tmp_path / "w.safetensors")
    return f"net={tmp_path / 'w.safetensors'}"


def test_the_table_ends_with_the_suggestion(
    run: Main, photos: Path, candidate: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run("--data", photos, candidate, "net") == 0
    titles, first, second, sentence = capfd.readouterr().out.splitlines()
    assert titles.split() == TITLES
    assert first.split()[:2] == ["1", f"acme/{candidate}"]
    assert second.split()[:3] == ["-", "acme/net", "-"]
    assert sentence.startswith(
        f"fine-tune acme/{candidate} (first in the ranking, best by nearest neighbors, best by linear probe, "
    )


def test_json_is_an_array_of_records(
    run: Main, photos: Path, candidate: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run("--data", photos, candidate, "--json") == 0
    (row,) = json.loads(capfd.readouterr().out)
    assert [*row] == [field.name for field in fields(Ranked)]
    assert row["rank"] == 1


def test_it_fails_if_nothing_could_be_ranked(run: Main, photos: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert run("--data", photos, "net=nowhere.safetensors") == 1
    out, err = capfd.readouterr()
    assert out.splitlines()[-1] == "no backbone could be ranked"
    assert "1/1 acme/net=nowhere.safetensors: not ranked: there is no file nowhere.safetensors." in err


def test_a_page_is_written(run: Main, photos: Path, candidate: str, tmp_path: Path) -> None:
    assert run("--data", photos, candidate, "--page", tmp_path / "rank.html") == 0
    assert (tmp_path / "rank.html").read_text(encoding="utf-8").startswith("<!DOCTYPE html>")


def test_the_winner_is_the_last_line(
    run: Main, photos: Path, candidate: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    flags = ("--finetune", "1", "--output", tmp_path / "tuned", "--epochs", "1")
    assert run("--data", photos, candidate, *flags) == 0
    assert capfd.readouterr().out.splitlines()[-1].startswith(f"acme/{candidate} is best: validation accuracy ")


def test_options_of_runs_need_finetune(
    run: Main, photos: Path, candidate: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run("--data", photos, candidate, "--epochs", "2") == 1
    assert "--epochs changes only runs; set --finetune" in capfd.readouterr().err


def test_a_page_that_cannot_be_written_does_not_lose_the_ranking(
    run: Main, photos: Path, candidate: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run("--data", photos, candidate, "--page", tmp_path) == 1
    printed = capfd.readouterr()
    assert candidate in printed.out
    assert str(tmp_path) in printed.err
