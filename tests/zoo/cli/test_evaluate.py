from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from zoo.cli.evaluate import _format
from zoo.registry.registry import Registry

Main = Callable[..., int]


@pytest.fixture
def run(run: Main, registry: Registry, monkeypatch: pytest.MonkeyPatch) -> Main:
    """Run ``zoo evaluate`` with only acme installed, and return the exit code."""
    monkeypatch.setattr("zoo.registry.registry.open_registry", lambda: registry)
    return lambda *arguments: run("evaluate", *arguments, "--device", "cpu")


def test_json_accuracy_and_recall_agree_with_the_confusion_matrix(
    run: Main, folder: Path, photos: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run(folder, "--data", photos, "--json") == 0
    result = json.loads(capfd.readouterr().out)
    confusion = result["confusion"]
    assert (result["split"], result["images"]) == ("val", 10)
    assert list(result["per_class"]) == ["blue", "red"]
    assert [sum(row) for row in confusion] == [5, 5]
    assert result["accuracy"] == pytest.approx((confusion[0][0] + confusion[1][1]) / 10)
    assert result["per_class"]["red"]["recall"] == pytest.approx(confusion[1][1] / 5)


def test_text_is_a_table_with_one_line_per_class(
    run: Main, folder: Path, photos: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run(folder, "--data", photos, "--split", "all") == 0
    lines = capfd.readouterr().out.splitlines()
    assert lines[0].startswith("accuracy ")
    assert lines[0].endswith(" on 34 images (all)")
    assert lines[1].split() == ["CLASS", "IMAGES", "PRECISION", "RECALL"]
    assert [line.split()[:2] for line in lines[2:]] == [["blue", "17"], ["red", "17"]]


def test_the_table_lists_class_2_before_class_10() -> None:
    metrics = {"images": 1, "precision": 1.0, "recall": None}
    per_class = dict.fromkeys(("class 1", "class 10", "class 2"), metrics)
    lines = _format({"accuracy": 1.0, "images": 3, "split": "test", "per_class": per_class})
    assert [line[:8].strip() for line in lines[2:]] == ["class 1", "class 2", "class 10"]


def test_undefined_metrics_are_dashes(
    run: Main, folder: Path, photos: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(photos / "val" / "red", tmp_path / "only" / "red")
    assert run(folder, "--data", tmp_path / "only") == 0
    (blue,) = [line for line in capfd.readouterr().out.splitlines() if line.startswith("blue")]
    assert blue.split()[1] == "0"
    assert blue.split()[3] == "-"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("gone", "--data", "photos"), "gone is not a run folder"),
        (("run", "--data", "gone"), "gone"),
        (("run", "--data", "photos", "--split", "test"), "no split 'test'"),
    ],
)
def test_an_error_is_one_line_with_exit_code_1(
    run: Main, folder: Path, photos: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *,
    arguments: tuple[str, ...], message: str,
) -> None:  # fmt: skip
    assert photos.parent == folder.parent
    monkeypatch.chdir(folder.parent)
    assert run(*arguments) == 1
    printed = capfd.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("Error: ")
    assert message in printed.err
    assert printed.err.count("\n") == 1


def test_an_unknown_split_is_wrong_usage(run: Main, folder: Path, photos: Path) -> None:
    assert run(folder, "--data", photos, "--split", "dev") == 2


def test_data_is_required(run: Main, folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert run(folder) == 2
    assert "--data" in capfd.readouterr().err


def test_errors_lists_the_wrong_images_most_confident_first(
    run: Main, folder: Path, photos: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (photos / "val" / "blue" / "0.png").rename(photos / "val" / "red" / "moved.png")
    assert run(folder, "--data", photos, "--errors", "--json") == 0
    errors = json.loads(capfd.readouterr().out)["errors"]
    assert errors
    assert errors[0].keys() == {"split", "path", "label", "predicted", "probability", "label_probability"}
    assert run(folder, "--data", photos, "--errors") == 0
    lines = capfd.readouterr().out.splitlines()
    first = lines.index(f"{len(errors)} wrong") + 1
    shown = [f"{e['path']}: {e['predicted']} {e['probability']:.3f}, but its class is {e['label']}" for e in errors]
    assert lines[first:] == shown
    assert run(folder, "--data", photos) == 0
    assert not any("wrong" in line for line in capfd.readouterr().out.splitlines())


def test_adapt_changes_the_loss(run: Main, folder: Path, photos: Path, capfd: pytest.CaptureFixture[str]) -> None:
    losses = []
    for flags in ((), ("--adapt",), ("--adapt-options", "lr=0.5")):
        assert run(folder, "--data", photos, "--json", *flags) == 0
        losses.append(json.loads(capfd.readouterr().out)["loss"])
    assert len({*losses}) == 3
