"""Images to measure a finished run on: which split, and whose classes."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from zoo.data.eval_dataset import open_labelled
from zoo.data.sample import Sample
from zoo.errors import DataError, NameNotFound

Plant = Callable[[Path, Mapping[str, int]], Path]
Open = Callable[..., tuple[str, tuple[Sample, ...]]]

CLASSES = ("cow", "ant", "bee")  # the run's own order, which is not the alphabet's


@pytest.fixture
def open_(names: Any, progress: Any) -> Open:
    return lambda value, split=None, classes=CLASSES: open_labelled(
        value, split, classes=classes, registry=names, progress=progress
    )


def count(samples: tuple[Sample, ...], root: Path) -> dict[str, int]:
    """Count the samples by folder."""
    folders = [sample.path.parent.relative_to(root).as_posix() for sample in samples]
    return {folder: folders.count(folder) for folder in folders}


# Splits.

GIVEN = {"train/ant": 3, "val/ant": 2, "test/ant": 1}


@pytest.mark.parametrize(
    ("there", "asked", "chosen"),
    [
        # What tells most: what nobody has looked at, then what the best epoch was chosen by.
        (GIVEN, None, "test"),
        ({"train/ant": 3, "val/ant": 2}, None, "val"),
        ({"train/ant": 3, "test/ant": 1}, None, "test"),
        ({"val/ant": 2}, None, "val"),
        ({"train/ant": 3}, None, "all"),
        (GIVEN, "train", "train"),
        (GIVEN, "val", "val"),
        (GIVEN, "test", "test"),
        (GIVEN, "all", "all"),
        ({"train/ant": 3, "valid/ant": 2}, "val", "val"),
        # A folder that holds nothing but a test split has no train, and needs none.
        ({"test/ant": 1}, None, "test"),
        ({"test/ant": 1}, "test", "test"),
        ({"test/ant": 1}, "all", "all"),
        # Classes without splits: a folder of new images.
        ({"ant": 3, "bee": 1}, None, "all"),
        ({"ant": 3, "bee": 1}, "all", "all"),
    ],
    ids=str,
)
def test_the_split_is_the_one_asked_for_or_the_most_telling(
    tmp_path: Path, open_: Open, plant: Plant, *, there: dict[str, int], asked: str | None, chosen: str
) -> None:
    plant(tmp_path, there)
    split, samples = open_(tmp_path, asked)
    names = {"val": ("val", "valid")}.get(chosen, (chosen,))
    assert split == chosen
    assert count(samples, tmp_path) == {
        folder: number for folder, number in there.items() if chosen == "all" or folder.partition("/")[0] in names
    }


@pytest.mark.parametrize(
    ("there", "asked", "has"),
    [
        ({"train/ant": 3, "val/ant": 2}, "test", "train, val"),
        ({"test/ant": 1}, "train", "test"),
        ({"test/ant": 1}, "val", "test"),
        ({"ant": 3, "bee": 1}, "train", "no splits"),
        ({"ant": 3, "bee": 1}, "val", "no splits"),
        ({"ant": 3, "bee": 1}, "test", "no splits"),
    ],
    ids=str,
)
def test_a_split_that_is_not_there_is_an_error_that_lists_those_that_are(
    tmp_path: Path, open_: Open, plant: Plant, *, there: dict[str, int], asked: str, has: str
) -> None:
    plant(tmp_path / "photos", there)
    with pytest.raises(DataError, match=rf"photos' has no split '{asked}'; it has {has}\. Use `split` all for every"):
        open_(tmp_path / "photos", asked)


def test_a_folder_that_holds_nothing_but_train_has_that_split(tmp_path: Path, open_: Open, plant: Plant) -> None:
    plant(tmp_path, {"train/ant": 3, "train/bee": 1})
    split, samples = open_(tmp_path, "train")
    assert (split, len(samples)) == ("train", 4)


# Classes.


def test_the_classes_of_the_run_govern_the_labels(tmp_path: Path, open_: Open, plant: Plant) -> None:
    plant(tmp_path, {"ant": 2, "bee": 1, "cow": 1})
    _, samples = open_(tmp_path)
    assert {(sample.path.parent.name, sample.label) for sample in samples} == {("ant", 1), ("bee", 2), ("cow", 0)}


@pytest.mark.parametrize("there", [{"bee": 2}, {"test/bee": 2}, {"bee": 2, "dog": 0}, {"train/dog": 1, "test/bee": 2}])
def test_classes_may_be_missing_and_what_is_not_measured_may_be_unknown(
    tmp_path: Path, open_: Open, plant: Plant, there: dict[str, int]
) -> None:
    _, samples = open_(plant(tmp_path / "photos", there))
    assert [sample.label for sample in samples] == [2, 2]


@pytest.mark.parametrize("prefix", ["", "test/"])
def test_a_class_that_the_run_does_not_know_is_an_error_that_names_it_and_those_it_knows(
    tmp_path: Path, open_: Open, plant: Plant, prefix: str
) -> None:
    plant(tmp_path, {f"{prefix}{name}": 1 for name in ("ant", "dog", "emu")})
    with pytest.raises(DataError, match=r"the run has no class 'dog', 'emu'; its classes are cow, ant, bee\."):
        open_(tmp_path)


def test_of_many_unknown_classes_five_are_named(tmp_path: Path, open_: Open, plant: Plant) -> None:
    plant(tmp_path, {f"new{number}": 1 for number in range(7)})
    with pytest.raises(DataError, match=r"has no class 'new0', 'new1', 'new2', 'new3', 'new4'; its classes are"):
        open_(tmp_path)


def test_the_case_of_a_class_matters(tmp_path: Path, open_: Open, plant: Plant) -> None:
    plant(tmp_path, {"Ant": 1})
    with pytest.raises(DataError, match="has no class 'Ant'"):
        open_(tmp_path)


# Images.


def test_samples_come_sorted_with_their_content_s_digest(tmp_path: Path, open_: Open, plant: Plant) -> None:
    plant(tmp_path, {"ant": 3, "bee": 2})
    _, samples = open_(tmp_path)
    paths = [sample.path for sample in samples]
    assert paths == sorted(paths)
    assert len({sample.digest for sample in samples}) == 5
    assert all(len(sample.digest) == 64 for sample in samples)


def test_images_that_cannot_be_read_are_left_out_and_said(
    tmp_path: Path, open_: Open, plant: Plant, progress: Any
) -> None:
    plant(tmp_path, {"val/ant": 2, "val/bee": 1, "train/ant": 1})
    (tmp_path / "val" / "bee" / "broken.png").write_bytes(b"no image")
    (tmp_path / "train" / "ant" / "broken.png").write_bytes(b"not measured, so not said")
    split, samples = open_(tmp_path)
    assert (split, count(samples, tmp_path)) == ("val", {"val/ant": 2, "val/bee": 1})
    (line,) = progress.lines
    assert line.startswith("left out 1 file: ")
    assert str(Path("val", "bee", "broken.png")) in line
    assert progress.tracked["examining images"] == (4, 4)


def test_where_all_is_well_nothing_is_said(tmp_path: Path, open_: Open, plant: Plant, progress: Any) -> None:
    open_(plant(tmp_path / "photos", {"val/ant": 2}))
    assert progress.lines == []


def test_that_all_images_count_where_there_are_no_splits_is_said(
    tmp_path: Path, open_: Open, plant: Plant, progress: Any
) -> None:
    open_(plant(tmp_path / "photos", {"ant": 2}))
    assert [line for line in progress.lines if "all images are used" in line] == progress.lines != []


def test_without_an_image_that_can_be_read_it_is_an_error_that_names_data_and_split(
    tmp_path: Path, open_: Open, plant: Plant
) -> None:
    plant(tmp_path / "photos", {"val/ant": 1, "test/ant": 0})
    (tmp_path / "photos" / "test" / "ant" / "broken.png").write_bytes(b"no image")
    with pytest.raises(DataError, match=r"photos' has no readable image in test"):
        open_(tmp_path / "photos")


def test_an_empty_folder_is_an_error(tmp_path: Path, open_: Open) -> None:
    with pytest.raises(DataError, match="has no readable image in all"):
        open_(tmp_path)


def test_what_is_neither_there_nor_a_name_is_an_error(tmp_path: Path, open_: Open) -> None:
    with pytest.raises(DataError, match="gone"):
        open_(tmp_path / "gone")
    with pytest.raises(NameNotFound, match="no data set 'pets'"):
        open_("pets")


def test_a_class_that_cannot_be_shown_is_an_error(tmp_path: Path, open_: Open, plant: Plant) -> None:
    plant(tmp_path, {"ant": 1, os.fsdecode(b"caf\xe9"): 1})
    with pytest.raises(DataError, match="has an unprintable name; rename it"):
        open_(tmp_path)
