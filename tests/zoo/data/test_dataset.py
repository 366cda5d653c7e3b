"""From a --data value to examined, split images."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from zoo.data.dataset import Images, open_images
from zoo.errors import DataError

Plant = Callable[[Path, Mapping[str, int]], Path]
Open = Callable[..., Images]


@pytest.fixture
def open_(names: Any, progress: Any) -> Open:
    return lambda value, seed=0: open_images(value, registry=names, seed=seed, progress=progress)


def names_of(images: Images, split: str, root: Path) -> list[str]:
    return [sample.path.relative_to(root).as_posix() for sample in getattr(images, split)]


def test_given_splits_are_taken_by_name_of_the_class(tmp_path: Path, open_: Open, plant: Plant) -> None:
    plant(tmp_path, {"train/ant": 1, "train/bee": 1, "train/cow": 1, "val/cow": 2, "test/bee": 1})
    images = open_(tmp_path)
    assert images.classes == ("ant", "bee", "cow")
    assert [sample.label for sample in images.train] == [0, 1, 2]
    assert [sample.label for sample in images.val] == [2, 2]
    assert [sample.label for sample in images.test] == [1]
    assert images.origin == str(tmp_path)
    assert images.left_out == ()


def test_a_flat_folder_is_split_four_to_one_in_each_class(tmp_path: Path, open_: Open, plant: Plant) -> None:
    plant(tmp_path, {"ant": 10, "bee": 20})
    images = open_(tmp_path)
    assert [sum(s.label == label for s in images.val) for label in (0, 1)] == [2, 4]
    assert {s.path for s in (*images.train, *images.val)} == set(tmp_path.glob("*/*.png"))
    assert not {s.path for s in images.train} & {s.path for s in images.val}
    assert images.test == ()


def test_val_is_split_off_train_and_test_stays(tmp_path: Path, open_: Open, plant: Plant) -> None:
    plant(tmp_path, {"train/ant": 5, "train/bee": 5, "test/ant": 3})
    images = open_(tmp_path)
    assert (len(images.train), len(images.val), len(images.test)) == (8, 2, 3)
    assert all("train" in sample.path.parts for sample in images.val)


def test_copies_stay_on_one_side(tmp_path: Path, open_: Open, plant: Plant) -> None:
    plant(tmp_path, {"ant": 6, "bee": 6})
    for path in sorted(tmp_path.glob("*/*.png")):
        shutil.copy(path, path.with_name(f"copy-of-{path.name}"))
    images = open_(tmp_path)
    assert len(images.val) == 4
    assert not {s.digest for s in images.train} & {s.digest for s in images.val}


def test_the_same_data_elsewhere_is_the_same(tmp_path: Path, open_: Open, plant: Plant) -> None:
    plant(tmp_path / "a", {"ant": 10, "bee": 10})
    (tmp_path / "b").mkdir()
    for path in sorted((tmp_path / "a").rglob("*.png"), reverse=True):  # written in another order
        target = tmp_path / "b" / "deeper" / path.relative_to(tmp_path / "a")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
    (tmp_path / "b" / "deeper" / "notes.txt").touch()
    here, there = open_(tmp_path / "a"), open_(tmp_path / "b")
    assert here.fingerprint == there.fingerprint
    assert names_of(here, "val", tmp_path / "a") == names_of(there, "val", tmp_path / "b" / "deeper")
    assert [s.digest for s in here.train] == [s.digest for s in there.train]


def test_whatever_changes_the_data_changes_the_fingerprint(tmp_path: Path, open_: Open, plant: Plant) -> None:
    plant(tmp_path, {"ant": 10, "bee": 10})
    seen = [open_(tmp_path).fingerprint, open_(tmp_path, seed=1).fingerprint]
    (tmp_path / "ant" / "0.png").rename(tmp_path / "ant" / "zero.png")
    seen.append(open_(tmp_path).fingerprint)
    (tmp_path / "ant" / "1.png").rename(tmp_path / "bee" / "moved.png")
    seen.append(open_(tmp_path).fingerprint)
    (tmp_path / "ant" / "2.png").write_bytes((tmp_path / "ant" / "3.png").read_bytes())
    seen.append(open_(tmp_path).fingerprint)
    (tmp_path / "ant").rename(tmp_path / "aunt")
    seen.append(open_(tmp_path).fingerprint)
    assert len(set(seen)) == len(seen)


def test_unreadable_images_are_left_out_and_named(tmp_path: Path, open_: Open, plant: Plant, progress: Any) -> None:
    plant(tmp_path, {"train/ant": 3, "train/bee": 3, "val/ant": 2})
    whole = (tmp_path / "train/ant/0.png").read_bytes()
    (tmp_path / "train/ant/cut.png").write_bytes(whole[:-100])
    (tmp_path / "train/bee/page.jpg").write_text("<html>")
    (tmp_path / "val/ant/empty.jpg").touch()
    (tmp_path / "val/ant/notes.txt").touch()
    images = open_(tmp_path)
    assert (len(images.train), len(images.val)) == (6, 2)
    found = {item.path.name: item.reason for item in images.left_out}
    assert found.keys() == {"cut.png", "page.jpg", "empty.jpg", "notes.txt"}
    assert found["empty.jpg"] == "the file is empty"
    said = next(line for line in progress.lines if line.startswith("left out 4 files"))
    assert "cut.png" in said
    assert said.endswith("and 1 more")
    assert progress.tracked == {"examining images": (11, 11)}


def test_the_users_files_are_not_touched(tmp_path: Path, open_: Open, plant: Plant) -> None:
    plant(tmp_path, {"ant": 2, "bee": 2})
    (tmp_path / "ant" / "bad.jpg").write_text("<html>")
    before = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in tmp_path.rglob("*.*")}
    open_(tmp_path)
    assert {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in tmp_path.rglob("*.*")} == before


def test_a_class_that_loses_all_its_images_is_an_error_with_a_reason(tmp_path: Path, open_: Open, plant: Plant) -> None:
    plant(tmp_path, {"ant": 2, "bee": 0})
    (tmp_path / "bee" / "page.jpg").write_text("<html>")
    with pytest.raises(DataError, match=r"'bee' \(.*page\.jpg.*not an image in a supported format"):
        open_(tmp_path)


def test_a_val_without_readable_images_is_an_error(tmp_path: Path, open_: Open, plant: Plant) -> None:
    plant(tmp_path, {"train/ant": 2, "train/bee": 2, "val/ant": 0})
    (tmp_path / "val" / "ant" / "page.jpg").write_text("<html>")
    with pytest.raises(DataError, match="no readable images for val"):
        open_(tmp_path)


def test_one_image_a_class_cannot_be_split(tmp_path: Path, open_: Open, plant: Plant) -> None:
    plant(tmp_path, {"ant": 1, "bee": 1})
    with pytest.raises(DataError, match="no readable images for val"):
        open_(tmp_path)


def test_copies_across_splits_and_classes_are_said(tmp_path: Path, open_: Open, plant: Plant, progress: Any) -> None:
    plant(tmp_path, {"train/ant": 3, "train/bee": 3, "val/ant": 2, "val/bee": 2})
    shutil.copy(tmp_path / "train/ant/0.png", tmp_path / "val/ant/leak.png")
    shutil.copy(tmp_path / "train/bee/1.png", tmp_path / "train/ant/torn.png")
    open_(tmp_path)
    assert "warning: 1 val image also appears in train, so val accuracy is too optimistic" in progress.lines
    assert "warning: 1 image in more than one class" in progress.lines


def test_clean_data_is_described_in_one_line(tmp_path: Path, open_: Open, plant: Plant, progress: Any) -> None:
    plant(tmp_path, {"train/ant": 2, "train/bee": 2, "val/ant": 1})
    open_(tmp_path)
    assert progress.lines == [f"{tmp_path} -> 4 train, 1 val images of 2 classes: ant, bee"]


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_is_left_out(tmp_path: Path, open_: Open, plant: Plant) -> None:
    plant(tmp_path, {"ant": 3, "bee": 3})
    (tmp_path / "ant" / "0.png").chmod(0)
    assert [item.reason for item in open_(tmp_path).left_out] == ["Permission denied"]


def test_the_real_photos_of_ants_and_bees(hymenoptera: Path, open_: Open) -> None:
    images = open_(hymenoptera)
    assert images.classes == ("ants", "bees")
    assert (len(images.train), len(images.val)) == (244, 153)
    assert [item.path.name for item in images.left_out] == ["imageNotFound.gif"]
