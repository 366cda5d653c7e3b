from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

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


def test_json_and_csv_exclude_each_other(
    run: Main, folder: Path, image: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run(folder, image, "--json", "--csv") == 2
    out, err = capfd.readouterr()
    assert out == ""
    assert "--json and --csv exclude each other" in err


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


def test_an_option_is_named_as_a_flag_in_the_error_of_an_image(
    run: Main, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    np.save(tmp_path / "bands.npy", np.zeros((8, 8, 5), np.uint8))
    assert run(folder, tmp_path / "bands.npy") == 1
    assert "to use all, train with --channels 5" in capsys.readouterr().err


def test_shards_are_classified_like_their_images(
    run: Main, folder: Path, photos: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    pack_shards(photos, tmp_path / "shards", count=1)
    assert run(folder, tmp_path / "shards" / "val-{000..000}.tar", "--json") == 0
    packed = [item["top"] for item in json.loads(capfd.readouterr().out)]
    assert run(folder, photos / "val", "--json") == 0
    assert packed == [item["top"] for item in json.loads(capfd.readouterr().out)]


def give_stdin(monkeypatch: pytest.MonkeyPatch, data: bytes) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(data)))


@pytest.mark.parametrize("form", ["{0}\n{1}\n", "{0}\r\n\n{1}", "{0}\0{1}\0"])
def test_a_dash_stands_for_the_paths_on_stdin(
    run: Main, folder: Path, image: Path, broken: Path, capfd: pytest.CaptureFixture[str], *,
    monkeypatch: pytest.MonkeyPatch, form: str,
) -> None:  # fmt: skip
    give_stdin(monkeypatch, form.format(image, broken).encode())
    assert run(folder, "-", image, "--json") == 0
    found = json.loads(capfd.readouterr().out)
    assert [item["path"] for item in found] == [str(image), str(broken), str(image)]


def test_a_name_with_a_line_break_is_read_if_nuls_separate_the_paths(
    run: Main, folder: Path, image: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    odd = image.rename(image.with_name("a\nb.png"))
    give_stdin(monkeypatch, bytes(odd) + b"\0")
    assert run(folder, "-", "--json") == 0
    assert [item["path"] for item in json.loads(capfd.readouterr().out)] == [str(odd)]


@pytest.mark.parametrize(("arguments", "message"), [(("-",), "no paths on stdin"), (("-", "-"), "read only once")])
def test_stdin_without_paths_and_a_second_dash_are_errors(
    run: Main, folder: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *,
    arguments: tuple[str, ...], message: str,
) -> None:  # fmt: skip
    give_stdin(monkeypatch, b"\n")
    assert run(folder, *arguments) == 1
    assert message in capfd.readouterr().err


def test_a_quoted_pattern_stands_for_its_matches(
    run: Main, folder: Path, photos: Path, image: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run(folder, photos / "v*" / "**" / "0.png", photos / "*.gif", "--csv") == 0
    rows = list(csv.DictReader(capfd.readouterr().out.splitlines()))
    assert [row["path"] for row in rows[:-1]] == [str(image), str(photos / "val" / "red" / "0.png")]
    assert rows[-1]["error"] == "no file matches the pattern"
    assert run(folder, photos / "*.gif") == 1
    assert "no file matches the pattern '" in capfd.readouterr().err


def test_a_missing_path_among_several_is_a_row(
    run: Main, folder: Path, image: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run(folder, tmp_path / "gone.png", image, "--json") == 0
    out, err = capfd.readouterr()
    assert [item.get("error") for item in json.loads(out)] == ["there is no such file or data set", None]
    assert "gone.png: there is no such file or data set" in err


def test_truth_prints_the_accuracy_and_the_wrong_images(
    run: Main, folder: Path, photos: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (photos / "val" / "blue" / "0.png").rename(photos / "val" / "red" / "moved.png")
    assert run(folder, photos / "val", "--json", "--truth") == 0
    out, err = capfd.readouterr()
    found = json.loads(out)
    assert [item["truth"] for item in found] == ["blue"] * 4 + ["red"] * 6
    wrong = [item["path"] for item in found if item["label"] != item["truth"]]
    assert 0 < len(wrong) < 10
    accuracy = f"accuracy {1 - len(wrong) / 10:.4f} on 10 images (95% interval "
    assert accuracy in err
    assert run(folder, photos / "val", "--truth") == 0
    lines = capfd.readouterr().out.splitlines()
    assert len(lines) == 10 + 2 + len(wrong)
    assert lines[10].startswith(accuracy)
    assert lines[11] == f"{len(wrong)} wrong"
    assert {line.partition(": ")[0] for line in lines[12:]} == set(wrong)
    assert all(line.endswith((", but its class is red", ", but its class is blue")) for line in lines[12:])
    assert run(folder, photos / "val", "--truth", "--csv") == 0
    rows = list(csv.DictReader(capfd.readouterr().out.splitlines()))
    assert [row["truth"] for row in rows] == ["blue"] * 4 + ["red"] * 6


def test_a_class_below_the_minimum_probability_is_none_of_these(
    run: Main, folder: Path, image: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run(folder, image, "--min-probability", "1", "--top", "2") == 0
    assert re.search(r": none of these \(\w+ 0\.\d+, \w+ 0\.\d+\)$", capfd.readouterr().out.strip())
    assert run(folder, image, "--min-probability", "1", "--json") == 0
    (found,) = json.loads(capfd.readouterr().out)
    assert found["label"] is None
    assert found["probability"] == found["top"][0]["probability"]
    assert run(folder, image, "--min-probability", "1", "--top", "2", "--csv") == 0
    (row,) = csv.DictReader(capfd.readouterr().out.splitlines())
    assert (row["label"], row["error"]) == ("", "")
    assert run(folder, image, "--min-probability", "2") == 2


def test_adapt_and_its_options_change_the_probabilities(
    run: Main, folder: Path, image: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    outputs = []
    for flags in ((), ("--adapt",), ("--adapt-options", "views=4,lr=0.5"), ("--adapt", "--adapt-options", "lr=0.5")):
        assert run(folder, image, "--json", *flags) == 0
        outputs.append(capfd.readouterr().out)
    assert len({*outputs}) == 4


def test_an_error_about_adapt_names_the_flag(
    run: Main, folder: Path, image: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run(folder, image, "--adapt-options", "views=0") == 1
    assert "invalid --adapt-options 'views=0'" in capfd.readouterr().err


def test_fetch_classifies_the_images_of_urls_and_shows_the_urls(
    run: Main, folder: Path, image: Path, site: Any, capfd: pytest.CaptureFixture[str]
) -> None:
    url = site.put("/0.png", image.read_bytes())
    assert run(folder, url, site.url("/gone.png"), "--fetch", "--csv") == 0
    header, good, bad = csv.reader(io.StringIO(capfd.readouterr().out))
    assert good[0] == url
    assert bad[0] == site.url("/gone.png")
    assert "HTTP 404" in bad[header.index("error")]


def test_a_url_without_fetch_is_an_error_that_names_the_flag(
    run: Main, folder: Path, site: Any, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run(folder, site.url("/0.png")) == 1
    assert "add --fetch to fetch it" in capfd.readouterr().err


def test_distances_are_shown_in_all_forms(
    run: Main, folder: Path, image: Path, broken: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run(folder, image, "--distance") == 0
    assert re.search(r"(red|blue) 0\.\d+, distance 0\.\d{3} \(percentile \d+\)", capfd.readouterr().out)
    assert run(folder, image, broken, "--max-percentile", "0", "--csv") == 0
    header, good, bad = csv.reader(io.StringIO(capfd.readouterr().out))
    assert header == ["path", "label", "probability", "error", "distance", "percentile"]
    assert float(good[4]) > 0
    assert bad[4:] == ["", ""]
    assert run(folder, image, "--distance", "--json") == 0
    assert {"distance", "percentile"} < json.loads(capfd.readouterr().out)[0].keys()
