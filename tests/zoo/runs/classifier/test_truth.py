"""Predictions that are compared with the true classes, and those that are below the minimum probability."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from made_shards import pack_shards
from recording_progress import RecordingProgress
from zoo.errors import DataError, OptionError
from zoo.runs.classifier import Classifier


def list_truths(classifier: Classifier, images: Any, **options: Any) -> dict[str, str | None]:
    return {item.path.name: item.truth for item in classifier.predict(images, truth=True, **options)}


def test_the_folders_are_the_truth(classifier: Classifier, photos: Path, images: list[Path]) -> None:
    forms: list[Any] = [photos / "val", str(photos / "val" / "**" / "*.png"), images, photos / "**" / "*.png"]
    for form in forms:
        found = [item for item in classifier.predict(form, truth=True) if item.path in images]
        assert [item.truth for item in found] == [path.parent.name for path in images]
        assert all(item.is_correct == (item.label == item.truth) for item in found)


def test_the_labels_of_a_table_are_the_truth(classifier: Classifier, photos: Path) -> None:
    (photos / "t.csv").write_text("id,kind\nval/blue/0.png,red\nval/gone.png,red\n", encoding="utf-8")
    good, gone = classifier.predict(photos / "t.csv", truth=True, columns="image=id,label=kind")
    assert (good.truth, good.label, good.is_correct) == ("red", "blue", False)
    assert (gone.error, gone.is_correct) == ("there is no such file", None)
    assert good.to_json()["truth"] == "red"


def test_the_labels_of_shards_and_of_a_table_in_a_folder_are_the_truth(
    classifier: Classifier, photos: Path, tmp_path: Path
) -> None:
    pack_shards(photos, tmp_path / "shards", count=1)
    found = classifier.predict(tmp_path / "shards" / "val-{000..000}.tar", truth=True)
    assert sorted({str(item.truth) for item in found}) == ["blue", "red"]
    shutil.copy(photos / "val" / "blue" / "0.png", tmp_path / "a.png")
    (tmp_path / "labeled").mkdir()
    shutil.copy(tmp_path / "a.png", tmp_path / "labeled")
    (tmp_path / "labeled" / "metadata.csv").write_text("file_name,label\na.png,red\n", encoding="utf-8")
    assert list_truths(classifier, tmp_path / "labeled") == {"a.png": "red"}


def test_a_table_without_labels_is_an_error(classifier: Classifier, photos: Path) -> None:
    (photos / "t.csv").write_text("path\nval/blue/0.png\n", encoding="utf-8")
    with pytest.raises(DataError, match="label"):
        classifier.predict(photos / "t.csv", truth=True)


def test_an_image_in_memory_has_no_truth(classifier: Classifier, images: list[Path]) -> None:
    (found,) = classifier.predict(images[0].read_bytes(), truth=True)
    assert (found.truth, found.is_correct) == (None, None)
    assert "truth" not in found.to_json()


def test_a_folder_that_is_not_a_class_counts_as_wrong(classifier: Classifier, photos: Path) -> None:
    (photos / "val" / "blue").rename(photos / "val" / "green")
    progress = RecordingProgress()
    found = classifier.predict(photos / "val", truth=True, progress=progress)
    assert [item.is_correct for item in found if item.truth == "green"] == [False] * 5
    assert [line for line in progress.lines if "'green'" in line] == [
        "warning: the run has no class 'green'; images of a class that it does not have count as wrong"
    ]


def test_without_truth_nothing_is_compared(classifier: Classifier, photos: Path) -> None:
    assert {item.truth for item in classifier.predict(photos / "val")} == {None}


def test_the_label_column_is_refused_without_truth(classifier: Classifier, photos: Path) -> None:
    with pytest.raises(OptionError, match="only the column for image; leave out label"):
        classifier.predict(photos / "val", columns="image=a,label=b")


def test_below_the_minimum_probability_no_class_is_predicted(classifier: Classifier, images: list[Path]) -> None:
    values = [item.probability or 0 for item in classifier.predict(images)]
    limit = sorted(values)[len(values) // 2]
    found = classifier.predict(images, truth=True, min_probability=limit)
    assert [item.label is None for item in found] == [value < limit for value in values]
    unknown = next(item for item in found if item.label is None)
    assert unknown.is_correct is False
    assert unknown.to_json()["label"] is None
    assert unknown.to_json()["probability"] == unknown.top[0][1] == unknown.probability


@pytest.mark.parametrize("value", [-0.1, 1.1, float("nan")])
def test_a_minimum_probability_outside_of_its_range_is_refused(
    classifier: Classifier, images: list[Path], value: float
) -> None:
    with pytest.raises(OptionError, match="`min_probability` must be from 0 to 1"):
        classifier.predict(images, min_probability=value)


def test_the_errors_of_an_evaluation_are_the_wrong_predictions(classifier: Classifier, photos: Path) -> None:
    for number in (0, 1):
        (photos / "val" / "blue" / f"{number}.png").rename(photos / "val" / "red" / f"moved{number}.png")
    errors = classifier.evaluate(photos, "val", errors=True)["errors"]
    assert {item["path"] for item in errors} == {str(photos / f"val/red/moved{number}.png") for number in (0, 1)}
    assert {(item["label"], item["predicted"]) for item in errors} == {("red", "blue")}
    assert [item["probability"] for item in errors] == sorted((item["probability"] for item in errors), reverse=True)
    assert "errors" not in classifier.evaluate(photos, "val")
