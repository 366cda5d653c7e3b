from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from zoo.registry.registry import Registry

Main = Callable[..., int]
FLAGS = ("--weights", "none", "--train", "all", "--batch-size", "6", "--device", "cpu", "--set", "workers=0")


@pytest.fixture
def run(run: Main, registry: Registry, monkeypatch: pytest.MonkeyPatch) -> Main:
    monkeypatch.setattr("zoo.registry.registry.open_registry", lambda: registry)
    return lambda *arguments: run("lr-find", *arguments)


def test_stdout_is_only_the_learning_rate(
    run: Main, photos: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run("net", "--data", photos, *FLAGS, "--plot", tmp_path / "rates.svg") == 0
    assert 1e-6 < float(capfd.readouterr().out) < 10
    assert (tmp_path / "rates.svg").read_text().startswith("<svg")


def test_json_has_all_tried_learning_rates(run: Main, photos: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert run("net", "--data", photos, *FLAGS, "--json") == 0
    found = json.loads(capfd.readouterr().out)
    assert found["suggested"] in [one["lr"] for one in found["tried"]]


def test_a_plot_that_cannot_be_written_is_an_error(
    run: Main, photos: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run("net", "--data", photos, *FLAGS, "--plot", tmp_path / "no" / "rates.svg") == 1
    assert "rates.svg cannot be written: No such file" in capfd.readouterr().err
