"""``zoo data check`` prints a table and a list, or JSON, and its exit code depends on ``--strict``."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

Main = Callable[..., int]


def test_findings_are_counted_and_listed(run: Main, leaking: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert run("data", "check", leaking) == 0
    lines = capfd.readouterr().out.splitlines()
    (row,) = (line for line in lines if line.startswith("leak "))
    assert row.split()[:5] == ["leak", "-", "-", "1", "-"]
    (item,) = (line for line in lines if line.startswith("leak: "))
    assert "leak.png (" in item


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
