"""Images on which a finished run is evaluated: the split, the labels and the files."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from zoo.data.eval_dataset import LabeledImages, Trained, open_labeled
from zoo.data.sample import Sample
from zoo.data.source import list_images
from zoo.errors import DataError, NameNotFound
from zoo.registry.data_options import DataOptions

Plant = Callable[[Path, Mapping[str, int]], Path]
Open = Callable[..., LabeledImages]

CLASSES = ("cow", "ant", "bee")  # The run's order differs from the alphabetical one.


@pytest.fixture
def open_(names: Any, progress: Any) -> Open:
    return lambda value, split=None, classes=CLASSES: open_labeled(
        list_images(value, DataOptions(), registry=names, progress=progress),
        str(value),
        split,
        trained=Trained(classes),
        progress=progress,
    )


def count(samples: tuple[Sample, ...], root: Path) -> dict[str, int]:
    """Count the samples by folder."""
    folders = [sample.path.parent.relative_to(root).as_posix() for sample in samples]
    return {folder: folders.count(folder) for folder in folders}


# Splits.

GIVEN = {"train/ant": 3, "val/ant": 2, "test/ant": 1}


@pytest.mark.parametrize(
    ("folders", "asked", "chosen"),
    [
        # By default, the split is test, or else val, which was used to choose the best epoch.
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
        # A folder may contain only a test split.
        ({"test/ant": 1}, None, "test"),
        ({"test/ant": 1}, "test", "test"),
        ({"test/ant": 1}, "all", "all"),
        # A folder of new images has classes but no splits.
        ({"ant": 3, "bee": 1}, None, "all"),
        ({"ant": 3, "bee": 1}, "all", "all"),
    ],
    ids=str,
)
def test_the_split_is_the_given_one_or_the_best_available(
    tmp_path: Path, open_: Open, plant: Plant, *, folders: dict[str, int], asked: str | None, chosen: str
) -> None:
    plant(tmp_path, folders)
    images = open_(tmp_path, asked)
    names = {"val": ("val", "valid")}.get(chosen, (chosen,))
    assert images.split == chosen
    assert count(images.samples, tmp_path) == {
        folder: number for folder, number in folders.items() if chosen == "all" or folder.partition("/")[0] in names
    }


@pytest.mark.parametrize(
    ("folders", "asked", "available"),
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
def test_a_missing_split_is_an_error_that_lists_the_available_ones(
    tmp_path: Path, open_: Open, plant: Plant, *, folders: dict[str, int], asked: str, available: str
) -> None:
    plant(tmp_path / "photos", folders)
    with pytest.raises(
        DataError, match=rf"photos' has no split '{asked}'; it has {available}\. To use every image, set `split` to all"
    ):
        open_(tmp_path / "photos", asked)


def test_train_may_be_the_only_split(tmp_path: Path, open_: Open, plant: Plant) -> None:
    plant(tmp_path, {"train/ant": 3, "train/bee": 1})
    images = open_(tmp_path, "train")
    assert (images.split, len(images.samples)) == ("train", 4)


# Classes.


def test_the_labels_follow_the_classes_of_the_run(tmp_path: Path, open_: Open, plant: Plant) -> None:
    plant(tmp_path, {"ant": 2, "bee": 1, "cow": 1})
    samples = open_(tmp_path).samples
    assert {(sample.path.parent.name, sample.label) for sample in samples} == {("ant", 1), ("bee", 2), ("cow", 0)}


@pytest.mark.parametrize(
    "folders", [{"bee": 2}, {"test/bee": 2}, {"bee": 2, "dog": 0}, {"train/dog": 1, "test/bee": 2}]
)
def test_classes_may_be_missing_and_unknown_classes_may_be_in_other_splits(
    tmp_path: Path, open_: Open, plant: Plant, folders: dict[str, int]
) -> None:
    samples = open_(plant(tmp_path / "photos", folders)).samples
    assert [sample.label for sample in samples] == [2, 2]


@pytest.mark.parametrize("prefix", ["", "test/"])
def test_an_unknown_class_is_an_error_that_lists_the_classes_of_the_run(
    tmp_path: Path, open_: Open, plant: Plant, prefix: str
) -> None:
    plant(tmp_path, {f"{prefix}{name}": 1 for name in ("ant", "dog", "emu")})
    with pytest.raises(DataError, match=r"the run has no class 'dog', 'emu'; its classes are cow, ant, bee\."):
        open_(tmp_path)


def test_the_error_for_many_unknown_classes_lists_five(tmp_path: Path, open_: Open, plant: Plant) -> None:
    plant(tmp_path, {f"new{number}": 1 for number in range(7)})
    with pytest.raises(DataError, match=r"has no class 'new0', 'new1', 'new2', 'new3', 'new4'; its classes are"):
        open_(tmp_path)


def test_class_names_are_case_sensitive(tmp_path: Path, open_: Open, plant: Plant) -> None:
    plant(tmp_path, {"Ant": 1})
    with pytest.raises(DataError, match="has no class 'Ant'"):
        open_(tmp_path)


# Images.


def test_samples_are_sorted_and_have_digests(tmp_path: Path, open_: Open, plant: Plant) -> None:
    plant(tmp_path, {"ant": 3, "bee": 2})
    samples = open_(tmp_path).samples
    paths = [sample.path for sample in samples]
    assert paths == sorted(paths)
    assert len({sample.digest for sample in samples}) == 5
    assert all(len(sample.digest) == 32 for sample in samples)


def test_unreadable_images_are_left_out_and_reported(tmp_path: Path, open_: Open, plant: Plant, progress: Any) -> None:
    plant(tmp_path, {"val/ant": 2, "val/bee": 1, "train/ant": 1})
    (tmp_path / "val" / "bee" / "broken.png").write_bytes(b"no image")
    (tmp_path / "train" / "ant" / "broken.png").write_bytes(b"no image either, but in another split")
    (tmp_path / "train" / "ant" / "notes.txt").touch()
    images = open_(tmp_path)
    assert (images.split, count(images.samples, tmp_path)) == ("val", {"val/ant": 2, "val/bee": 1})
    (line,) = progress.lines
    assert line.startswith(f"skipped {str(tmp_path / 'val' / 'bee' / 'broken.png')!r}: ")
    assert progress.tracked["examining images"] == (4, 4)


def test_files_that_are_left_out_and_notes_are_reported(
    tmp_path: Path, open_: Open, plant: Plant, progress: Any
) -> None:
    plant(tmp_path, {"ant": 2, "bee": 1})
    (tmp_path / "bee" / "broken.png").write_bytes(b"no image")
    (tmp_path / "ant" / "a.txt").touch()
    (tmp_path / "t.csv").write_text("path,label\nant/0.png,ant\nant/1.png,\nbee/broken.png,bee\n", encoding="utf-8")
    left_out = open_(tmp_path).left_out
    assert [item.path.name for item in left_out] == ["a.txt", "broken.png", "t.csv"]
    lines = [line for line in progress.lines if line.startswith("skipped")]
    assert lines == [f"skipped {str(item.path)!r}: {item.reason}" for item in left_out]
    progress.lines.clear()
    assert "no label" in [item.reason for item in open_(tmp_path / "t.csv").left_out]
    assert "note: columns of the table: image 'path', label 'label'" in progress.lines


def test_without_problems_nothing_is_reported(tmp_path: Path, open_: Open, plant: Plant, progress: Any) -> None:
    open_(plant(tmp_path / "photos", {"val/ant": 2}))
    assert progress.lines == []


def test_a_note_says_that_all_images_are_used_if_there_are_no_splits(
    tmp_path: Path, open_: Open, plant: Plant, progress: Any
) -> None:
    open_(plant(tmp_path / "photos", {"ant": 2}))
    assert [line for line in progress.lines if "using all images" in line] == progress.lines != []


def test_a_split_without_readable_images_is_an_error_that_names_it(tmp_path: Path, open_: Open, plant: Plant) -> None:
    plant(tmp_path / "photos", {"val/ant": 1, "test/ant": 0})
    (tmp_path / "photos" / "test" / "ant" / "broken.png").write_bytes(b"no image")
    with pytest.raises(DataError, match=r"photos' has no readable images in test"):
        open_(tmp_path / "photos")


def test_an_empty_folder_is_an_error(tmp_path: Path, open_: Open) -> None:
    with pytest.raises(DataError, match="has no readable images in all"):
        open_(tmp_path)


def test_a_value_that_is_neither_a_path_nor_a_name_is_an_error(tmp_path: Path, open_: Open) -> None:
    with pytest.raises(DataError, match="gone"):
        open_(tmp_path / "gone")
    with pytest.raises(NameNotFound, match="no data set 'pets'"):
        open_("pets")


def test_an_unprintable_class_name_is_an_error(tmp_path: Path, open_: Open, plant: Plant) -> None:
    plant(tmp_path, {"ant": 1, os.fsdecode(b"caf\xe9"): 1})
    with pytest.raises(DataError, match="has an unprintable name; rename it"):
        open_(tmp_path)
