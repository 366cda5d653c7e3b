"""The commands that train and use runs print hostile names of classes, files and runs safely."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from acme import draw_photos
from hostile_names import BATCHES, list_class_names, list_file_names, list_run_names, list_texts
from printed import check_csv, check_lines
from zoo.progress.printable import make_printable
from zoo.runs.folder import CARD, REPORT, RUN

Main = Callable[..., int]
MakeRun = Callable[[Path, list[str]], Path]
Capture = pytest.CaptureFixture[str]

FLAGS = ("--weights", "none", "--batch-size", "32", "--device", "cpu", "--set", "workers=0")


def fill(folder: Path, seed: int, image: Path) -> None:
    for number, name in enumerate(list_file_names(seed)):
        if number % 3:
            shutil.copy(image, folder / f"{name}.png")
        else:
            (folder / f"{name}.png").write_bytes(b"no image")


@pytest.mark.parametrize("seed", BATCHES)
def test_predict_and_compare_print_safely(
    run: Main, make_run: MakeRun, few_photos: Path, tmp_path: Path, capfd: Capture, *, seed: int
) -> None:
    classes, image = list_texts(seed), few_photos / "val" / "blue" / "0.png"
    folder = make_run(tmp_path / list_run_names(seed)[0], classes)
    images = tmp_path / list_file_names(seed)[1]
    images.mkdir()
    fill(images, seed, image)
    predict = ("predict", folder, images, "--top", "25", "--device", "cpu")
    assert run(*predict) == 0
    printed = capfd.readouterr()
    check_lines(printed.out + printed.err)
    assert printed.out.count("\n") == sum(number % 3 > 0 for number in range(25))
    assert run(*predict, "--csv") == 0
    check_csv(capfd.readouterr().out, 4)
    assert run(*predict, "--json") == 0
    printed = capfd.readouterr()
    check_lines(printed.out + printed.err)
    found = json.loads(printed.out)
    assert {top["label"] for item in found for top in item.get("top", ())} == set(classes)
    assert {item["path"] for item in found} == {str(path) for path in images.iterdir()}
    assert run(*predict, "--truth") == 0
    printed = capfd.readouterr()
    check_lines(printed.out + printed.err)
    output = tmp_path / f"{list_file_names(seed)[2]}.csv"
    assert run("embed", folder, images, "--output", output, "--device", "cpu") == 0
    printed = capfd.readouterr()
    check_lines(printed.out + printed.err)
    check_csv(output.read_text(encoding="utf-8"), 13)
    assert run("compare", folder, make_run(tmp_path / list_run_names(seed)[2], list_texts(seed + 1000))) == 0
    printed = capfd.readouterr()
    check_lines(printed.out + printed.err)
    assert printed.out.count("\n") == 4


@pytest.mark.parametrize("seed", BATCHES)
def test_finetune_and_evaluate_print_safely(
    run: Main, few_photos: Path, tmp_path: Path, capfd: Capture, seed: int
) -> None:
    classes, files = list_class_names(seed), list_file_names(seed)
    data, output = tmp_path / files[0], tmp_path / list_run_names(seed)[1]
    draw_photos(data / "train", per_class=2, classes=tuple(classes))
    draw_photos(data / "val", per_class=1, classes=tuple(classes))
    fill(data / "train" / classes[0], seed, few_photos / "val" / "blue" / "0.png")
    assert run("finetune", "net", "--data", data, "--output", output, "--epochs", "1", *FLAGS) == 0
    printed = capfd.readouterr()
    check_lines(printed.out + printed.err)
    assert printed.out.splitlines() == [make_printable(str(output))]
    for name in (REPORT, CARD, RUN):
        check_lines((output / name).read_text(encoding="utf-8"))
    assert json.loads((output / RUN).read_text(encoding="utf-8"))["data"]["asked"] == str(data)
    assert run("lr-find", "net", "--data", data, "--plot", tmp_path / files[2], *FLAGS) in {0, 1}
    printed = capfd.readouterr()
    check_lines(printed.out + printed.err)
    assert printed.out.count("\n") <= 1
    assert run("evaluate", output, "--data", data, "--device", "cpu") == 0
    printed = capfd.readouterr()
    check_lines(printed.out + printed.err)
    assert printed.out.count("\n") == len(classes) + 2
    assert run("evaluate", output, "--data", data, "--device", "cpu", "--json") == 0
    check_lines(capfd.readouterr().out)


# If an escaping function is disabled, the tests above fail.


@pytest.mark.parametrize("part", ["zoo.cli.streams.make_printable", "zoo.progress.csv_rows.escape_csv"])
def test_predicting_with_missing_escapes_is_noticed(
    run: Main, make_run: MakeRun, few_photos: Path, tmp_path: Path, capfd: Capture, *,
    monkeypatch: pytest.MonkeyPatch, part: str,
) -> None:  # fmt: skip
    monkeypatch.setattr(part, str)
    with pytest.raises(AssertionError):
        test_predict_and_compare_print_safely(run, make_run, few_photos, tmp_path, capfd, seed=0)


@pytest.mark.parametrize("part", ["zoo.progress.make_printable", "zoo.runs.folder.escape_json"])
def test_training_with_missing_escapes_is_noticed(
    run: Main, few_photos: Path, tmp_path: Path, capfd: Capture, *, monkeypatch: pytest.MonkeyPatch, part: str
) -> None:
    monkeypatch.setattr(part, str)
    with pytest.raises(AssertionError):
        test_finetune_and_evaluate_print_safely(run, few_photos, tmp_path, capfd, 0)
