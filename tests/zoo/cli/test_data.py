"""``zoo data check`` prints a table and a list, or JSON, and its exit code depends on ``--strict``."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from zoo.training.label_check import BACKBONE
from zoo_tiny import make_suns_moons

Main = Callable[..., int]


@pytest.fixture(scope="module")
def misplaced(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of 20 drawings of each class, one of which is in the wrong class. Tests only read it."""
    folder = tmp_path_factory.mktemp("misplaced")
    make_suns_moons(folder / "drawings")
    one, other = sorted((folder / "drawings" / "train").iterdir())
    min(one.iterdir()).rename(other / "misplaced.jpg")
    return folder / "drawings" / "train"


def test_findings_are_counted_and_listed(run: Main, leaking: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert run("data", "check", leaking) == 0
    lines = capfd.readouterr().out.splitlines()
    (row,) = (line for line in lines if line.startswith("leak "))
    assert row.split()[:5] == ["leak", "-", "-", "1", "-"]
    (item,) = (line for line in lines if line.startswith("leak: "))
    assert "leak.png (" in item


def test_the_reason_why_a_file_is_skipped_names_the_flag(
    run: Main, leaking: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run("data", "check", leaking, "--label-from", "^(leak)") == 0
    assert "its name does not match --label-from" in capfd.readouterr().out


def test_json_lists_every_finding(run: Main, leaking: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert run("data", "check", leaking, "--json") == 0
    answer = json.loads(capfd.readouterr().out)
    (leak,) = (finding for finding in answer["findings"] if finding["kind"] == "leak")
    assert leak["is_warning"]
    assert leak["split"] == "val"
    assert Path(leak["path"]).name == "leak.png"
    assert Path(leak["detail"]).is_file()
    assert answer["problem"] is None


@pytest.mark.parametrize("strict", [True, False])
def test_with_strict_a_warning_is_a_failure(run: Main, leaking: Path, *, strict: bool) -> None:
    assert run("data", "check", leaking, *(["--strict"] if strict else [])) == int(strict)


def test_with_strict_clean_data_are_a_success(run: Main, photos: Path) -> None:
    assert run("data", "check", photos, "--strict") == 0


def test_data_that_do_not_exist_are_an_error(run: Main, capfd: pytest.CaptureFixture[str]) -> None:
    assert run("data", "check", "nowhere") == 1
    assert "nowhere" in capfd.readouterr().err


def test_doubtful_labels_are_listed(run: Main, misplaced: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert run("data", "check", misplaced, "--labels", "--backbone", "tiny") == 0
    lines = capfd.readouterr().out.splitlines()
    assert lines[1].startswith("labels checked with tiny/tiny@DRAWN_V1: it predicts ")
    (item,) = (line for line in lines if line.startswith("doubtful-label: "))
    assert "misplaced.jpg (more likely " in item


def test_json_contains_the_complete_ranking(run: Main, misplaced: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert run("data", "check", misplaced, "--labels", "--backbone", "tiny", "--json") == 0
    labels = json.loads(capfd.readouterr().out)["labels"]
    assert labels["folds"] == 5
    assert len(labels["ranking"]) == 40
    first, last = labels["ranking"][0], labels["ranking"][-1]
    assert Path(first["path"]).name == "misplaced.jpg"
    assert first["is_error"]
    assert first["suggested"] != first["label"]
    assert first["suggested_probability"] - first["probability"] > last["suggested_probability"] - last["probability"]


def test_without_labels_json_has_no_ranking(run: Main, photos: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert run("data", "check", photos, "--json") == 0
    assert json.loads(capfd.readouterr().out)["labels"] is None


def test_with_strict_a_doubtful_label_is_a_failure(run: Main, misplaced: Path) -> None:
    assert run("data", "check", misplaced, "--labels", "--backbone", "tiny", "--strict") == 1


def test_a_sheet_of_doubtful_labels_is_written(run: Main, misplaced: Path, tmp_path: Path) -> None:
    sheet = tmp_path / "sheet.html"
    assert run("data", "check", misplaced, "--labels", "--backbone", "tiny", "--output", sheet) == 0
    assert "misplaced.jpg" in sheet.read_text(encoding="utf-8")


@pytest.mark.parametrize("flag", ["--backbone", "--weights", "--output"])
def test_flags_of_the_check_of_labels_need_it(
    run: Main, photos: Path, capfd: pytest.CaptureFixture[str], flag: str
) -> None:
    assert run("data", "check", photos, flag, "sheet.png") == 2
    assert f"{flag} needs --labels" in capfd.readouterr().err


def test_the_help_shows_the_default_backbone(run: Main, capfd: pytest.CaptureFixture[str]) -> None:
    assert run("data", "check", "--help") == 0
    assert f"[default: {BACKBONE}]" in " ".join(capfd.readouterr().out.split())


@pytest.mark.parametrize(("name", "start"), [("sheet.png", b"\x89PNG"), ("sheet.html", b"<!DOCTYPE html>")])
def test_a_contact_sheet_is_a_picture_or_a_page(
    run: Main, photos: Path, tmp_path: Path, name: str, start: bytes
) -> None:
    assert run("data", "show", photos, "--output", tmp_path / name, "--images", 2, "--image-size", 32) == 0
    assert (tmp_path / name).read_bytes().startswith(start)


def test_other_suffixes_of_contact_sheets_are_wrong_usage(
    run: Main, photos: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run("data", "show", photos, "--output", tmp_path / "sheet.pdf") == 2
    assert "must end with .png or .html" in capfd.readouterr().err
    assert not (tmp_path / "sheet.pdf").exists()
