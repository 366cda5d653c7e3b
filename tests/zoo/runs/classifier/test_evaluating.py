from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from zoo.errors import DataError
from zoo.registry.registry import Registry
from zoo.runs.classifier import Classifier
from zoo.training.run import Run


def test_metrics_match_counts_of_individual_predictions(
    classifier: Classifier, photos: Path, registry: Registry
) -> None:
    # Two blue images are labeled red, and one image cannot be read.
    for number in (0, 1):
        (photos / "val" / "blue" / f"{number}.png").rename(photos / "val" / "red" / f"moved{number}.png")
    (photos / "val" / "red" / "broken.png").write_bytes(b"no image")
    result = classifier.evaluate(photos, "val", registry=registry)
    counts = {(true, predicted): 0 for true in classifier.classes for predicted in classifier.classes}
    for path in sorted((photos / "val").rglob("*.png")):
        (prediction,) = classifier.predict([path])
        if prediction.error is None:
            counts[path.parent.name, prediction.top[0][0]] += 1
    b, r = "blue", "red"
    assert counts == {(b, b): 3, (b, r): 0, (r, b): 2, (r, r): 5}  # The test needs some mistakes.
    assert result["confusion"] == [[3, 0], [2, 5]]
    assert result["accuracy"] == pytest.approx(8 / 10)
    assert result["per_class"] == {
        b: {"images": 3, "precision": pytest.approx(3 / 5), "recall": 1.0, "f1": pytest.approx(3 / 4)},
        r: {"images": 7, "precision": 1.0, "recall": pytest.approx(5 / 7), "f1": pytest.approx(5 / 6)},
    }
    assert (result["split"], result["images"]) == ("val", 10)
    (item,) = result["left_out"]
    assert item["path"] == str(photos / "val" / "red" / "broken.png")
    assert "not an image" in item["reason"]


def test_evaluating_the_validation_images_reproduces_the_metrics_of_the_run(
    run: Run, classifier: Classifier, photos: Path, registry: Registry
) -> None:
    result = classifier.evaluate(photos, "val", registry=registry)
    assert result["accuracy"] == run.facts["best"]["val_accuracy"]
    assert result["loss"] == pytest.approx(run.facts["best"]["val_loss"], rel=1e-4)
    assert {name: result[name] for name in ("per_class", "confusion")} == {
        name: run.facts["val"][name] for name in ("per_class", "confusion")
    }


@pytest.mark.parametrize(
    ("split", "has_test", "chosen", "images"),
    [
        (None, True, "test", 4),
        (None, False, "val", 10),
        ("train", False, "train", 24),
        ("all", False, "all", 34),
        ("test", True, "test", 4),
    ],
)
def test_the_default_split_is_test_then_val(
    classifier: Classifier,
    photos: Path,
    registry: Registry,
    *,
    split: str | None,
    has_test: bool,
    chosen: str,
    images: int,
) -> None:
    if has_test:
        for name in ("blue", "red"):
            (photos / "test" / name).mkdir(parents=True)
            for number in (0, 1):
                shutil.copy(photos / "val" / name / f"{number}.png", photos / "test" / name)
    result = classifier.evaluate(photos, split, registry=registry)
    assert (result["split"], result["images"]) == (chosen, images)


def test_a_missing_split_is_an_error(classifier: Classifier, photos: Path, registry: Registry) -> None:
    with pytest.raises(DataError, match="test"):
        classifier.evaluate(photos, "test", registry=registry)


def test_classes_are_matched_by_name_and_some_may_be_missing(
    classifier: Classifier, photos: Path, registry: Registry, tmp_path: Path
) -> None:
    shutil.copytree(photos / "val" / "red", tmp_path / "only" / "red")
    result = classifier.evaluate(tmp_path / "only", registry=registry)
    assert result["confusion"] == [[0, 0], [0, 5]]
    assert result["per_class"]["blue"] == {"images": 0, "precision": None, "recall": None, "f1": None}


def test_the_error_for_an_unknown_class_names_it(classifier: Classifier, photos: Path, registry: Registry) -> None:
    shutil.copytree(photos / "val" / "red", photos / "val" / "green")
    with pytest.raises(DataError, match=r"'green'"):
        classifier.evaluate(photos, "val", registry=registry)
