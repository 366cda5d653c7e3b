from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from made_shards import pack_shards
from zoo.registry.registry import Registry

Main = Callable[..., int]


@pytest.fixture
def broken(tmp_path: Path) -> Path:
    (tmp_path / "broken.png").write_bytes(b"no image")
    return tmp_path / "broken.png"


@pytest.fixture
def image(photos: Path) -> Path:
    return photos / "val" / "blue" / "0.png"


@pytest.fixture
def run(run: Main, registry: Registry, monkeypatch: pytest.MonkeyPatch) -> Main:
    """Run ``zoo predict`` with only acme installed, and return the exit code."""
    monkeypatch.setattr("zoo.registry.registry.open_registry", lambda: registry)
    return lambda *arguments: run("predict", *arguments, "--device", "cpu")


def test_json_is_an_array_with_the_documented_keys(
    run: Main, folder: Path, image: Path, broken: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run(folder, image, broken, "--top", "2", "--json") == 0
    good, bad = json.loads(capfd.readouterr().out)
    assert good.keys() == {"path", "label", "probability", "top"}
    assert good["path"] == str(image)
    assert good["top"][0] == {"label": good["label"], "probability": good["probability"]}
    assert sorted(item["label"] for item in good["top"]) == ["blue", "red"]
    assert bad.keys() == {"path", "error"}
    assert bad["path"] == str(broken)


def test_json_of_a_folder_has_one_object_per_image(
    run: Main, folder: Path, photos: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run(folder, photos / "val", "--json") == 0
    found = [item["path"] for item in json.loads(capfd.readouterr().out)]
    assert found == [str(path) for path in sorted((photos / "val").rglob("*.png"))]


def test_images_that_are_too_dark_for_the_run_are_reported_on_stderr(
    run: Main, folder: Path, image: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    Image.fromarray(np.full((16, 16), 4095, np.uint16)).save(image)
    assert run(folder, image, "--json") == 0
    out, err = capfd.readouterr()
    assert len(json.loads(out)) == 1
    assert "warning: the 16-bit images use 12 bits and are too dark, because the run was trained without" in err


def test_csv_has_a_row_per_prediction_and_per_error(
    run: Main, folder: Path, image: Path, broken: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    odd = image.with_name('a, "b".png')
    image.rename(odd)
    assert run(folder, odd, broken, "--csv", "--top", "2") == 0
    rows = list(csv.DictReader(capfd.readouterr().out.splitlines()))
    assert [row["path"] for row in rows] == [str(odd), str(odd), str(broken)]
    assert {row["label"] for row in rows[:2]} == {"blue", "red"}
    assert sum(float(row["probability"]) for row in rows[:2]) == pytest.approx(1, abs=1e-6)
    assert [bool(row["error"]) for row in rows] == [False, False, True]


def test_csv_lines_end_with_a_line_feed_only(
    run: Main, folder: Path, image: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run(folder, image, "--csv") == 0
    assert "\r" not in capfd.readouterr().out


def test_text_has_one_line_per_image_and_errors_go_to_stderr(
    run: Main, folder: Path, image: Path, broken: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run(folder, broken, image) == 0
    printed = capfd.readouterr()
    (line,) = printed.out.splitlines()
    path, _, answer = line.rpartition(": ")
    assert path == str(image)
    label, probability = answer.split()
    assert label in {"blue", "red"}
    assert 0.5 <= float(probability) <= 1
    assert str(broken) in printed.err


@pytest.mark.parametrize("form", [(), ("--json",), ("--csv",)])
def test_exit_code_is_1_if_no_image_could_be_read(run: Main, folder: Path, broken: Path, form: tuple[str, ...]) -> None:
    assert run(folder, broken, *form) == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(("gone", "x.png"), "gone is not a run folder"), (("run", "gone.png"), "'gone.png' does not exist")],
)
def test_an_error_is_one_line_with_exit_code_1(
    run: Main, folder: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *,
    arguments: tuple[str, ...], message: str,
) -> None:  # fmt: skip
    monkeypatch.chdir(folder.parent)
    assert run(*arguments) == 1
    printed = capfd.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("Error: ")
    assert message in printed.err


@pytest.mark.parametrize("arguments", [(), ("--top", "0"), ("--top", "x")])
def test_wrong_usage_is_exit_code_2(run: Main, folder: Path, image: Path, arguments: tuple[str, ...]) -> None:
    images = (image,) if arguments else ()
    assert run(folder, *images, *arguments) == 2


@pytest.mark.parametrize("form", [(), ("--json",), ("--csv",)])
def test_every_file_that_is_left_out_has_a_line_on_stderr(
    run: Main, folder: Path, photos: Path, broken: Path, capfd: pytest.CaptureFixture[str], *, form: tuple[str, ...]
) -> None:
    (photos / "val" / "notes.txt").touch()
    assert run(folder, photos / "val", broken, *form) == 0
    lines = [line for line in capfd.readouterr().err.splitlines() if line.startswith(str(photos.parent))]
    assert lines[0].startswith(f"{photos}/val/notes.txt: unsupported file type .txt")
    assert lines[1:] == [f"{broken}: a text file, not an image in a supported format"]


def test_a_table_is_read_with_the_chosen_column(
    run: Main, folder: Path, image: Path, photos: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (photos / "t.csv").write_text(f"id\n{image.relative_to(photos).as_posix()}\n", encoding="utf-8")
    assert run(folder, photos / "t.csv", "--columns", "image=id", "--json") == 0
    out, err = capfd.readouterr()
    assert [item["path"] for item in json.loads(out)] == [str(image)]
    assert "note: columns of the table: image 'id'" in err


def test_an_option_is_named_as_a_flag_in_an_error(
    run: Main, folder: Path, image: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run(folder, image, "--columns", "image=id") == 1
    assert capfd.readouterr().err.startswith("Error: --columns applies only to a table, but ")


def test_shards_are_classified_like_their_images(
    run: Main, folder: Path, photos: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    pack_shards(photos, tmp_path / "shards", count=1)
    assert run(folder, tmp_path / "shards" / "val-{000..000}.tar", "--json") == 0
    packed = [item["top"] for item in json.loads(capfd.readouterr().out)]
    assert run(folder, photos / "val", "--json") == 0
    assert packed == [item["top"] for item in json.loads(capfd.readouterr().out)]
