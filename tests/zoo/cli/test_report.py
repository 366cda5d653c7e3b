from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from quick_runs import QUICK
from zoo.registry.registry import Registry
from zoo.training.finetune import finetune

Main = Callable[..., int]


@pytest.fixture
def run(run: Main, registry: Registry, monkeypatch: pytest.MonkeyPatch) -> Main:
    """Run ``zoo report`` with only acme installed, and return the exit code."""
    monkeypatch.setattr("zoo.registry.registry.open_registry", lambda: registry)
    return lambda *arguments: run("report", *arguments)


@pytest.fixture
def folder(registry: Registry, photos: Path, tmp_path: Path) -> Path:
    """A run folder whose images still exist."""
    return finetune("net", photos, output=tmp_path / "one", registry=registry, **QUICK).path


def test_the_report_of_a_run_is_the_same_when_it_is_written_again(
    run: Main, folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    page = folder / "report.html"
    before = page.read_bytes()
    page.unlink()
    assert run(folder) == 0
    assert capfd.readouterr().out == f"{page}\n"
    assert page.read_bytes() == before
    assert before.count(b"data:image/jpeg") >= 10


def test_images_that_are_gone_are_reported_and_counted(
    run: Main, folder: Path, photos: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    shutil.rmtree(photos / "val" / "red")
    assert run(folder, "--output", folder / "new.html") == 0
    assert "note: 5 images can no longer be read, such as" in capfd.readouterr().err
    assert "5 images could not be read again." in (folder / "new.html").read_text(encoding="utf-8")


def test_a_run_without_predictions_has_a_report_without_pictures(
    run: Main, folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (folder / "predictions.jsonl").unlink()
    assert run(folder) == 0
    assert "has no predictions.jsonl, so the report has no pictures" in capfd.readouterr().err
    assert "data:image" not in (folder / "report.html").read_text(encoding="utf-8")


def test_several_runs_are_compared_on_one_page(
    run: Main, folder: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(folder, tmp_path / "two")
    page = tmp_path / "comparison.html"
    assert run(folder, tmp_path / "two", "--output", page) == 0
    assert capfd.readouterr().out == f"{page}\n"
    text = page.read_text(encoding="utf-8")
    assert text.count('<div class="tile">') == 2
    assert str(folder) in text
    assert "<svg" in text


def test_a_comparison_needs_an_output(run: Main, folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert run(folder, folder) == 2
    assert "--output is required to compare several runs" in capfd.readouterr().err
