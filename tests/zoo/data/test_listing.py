"""Which listings a model can be trained on."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from zoo.data.listing import check_trainable
from zoo.data.sources.folder import list_folder
from zoo.errors import DataError

Plant = Callable[[Path, Mapping[str, int]], Path]
Check = Callable[[Mapping[str, int]], None]


@pytest.fixture
def check(tmp_path: Path, plant: Plant) -> Check:
    return lambda counts: check_trainable(list_folder(plant(tmp_path / "photos", counts)), "photos")


def test_two_classes_with_an_image_each_are_enough(check: Check) -> None:
    check({"train/ant": 1, "train/bee": 1, "val/bee": 1})


def test_a_class_that_only_val_has_is_an_error(check: Check) -> None:
    with pytest.raises(
        DataError, match="val has classes that are missing from train: 'wasp'; train has 2 different classes"
    ):
        check({"train/ant": 1, "train/bee": 1, "val/ant": 1, "val/wasp": 1})


def test_an_empty_class_is_an_error_with_advice(check: Check) -> None:
    with pytest.raises(
        DataError, match=r"these classes have no training images: 'wasp'; add images, or remove the classes\."
    ):
        check({"ant": 1, "bee": 1, "wasp": 0})


def test_the_error_for_many_classes_lists_five(check: Check) -> None:
    with pytest.raises(DataError, match="'c0', 'c1', 'c2', 'c3', 'c4'; add"):
        check({"ant": 1, **{f"c{number}": 0 for number in range(7)}})


@pytest.mark.parametrize("counts", [{"ant": 2}, {"train/ant": 1, "val/ant": 1}])
def test_fewer_than_two_classes_are_an_error_that_shows_the_layouts(check: Check, counts: dict[str, int]) -> None:
    with pytest.raises(DataError, match=r"at least two classes; use train/CLASS/IMAGE.* or CLASS/IMAGE\."):
        check(counts)


def test_an_empty_folder_is_an_error_that_shows_the_layouts(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"'photos' has no folder of images, but .* or CLASS/IMAGE"):
        check_trainable(list_folder(tmp_path), "photos")


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (("photos.zip",), "contains the archive 'photos.zip', so unpack it and pass its folder, or use train/CLASS"),
        (("ant/photos.tar.gz", "bee/2.zip"), "'photos' has no images; it contains the archive 'photos.tar.gz', so"),
        (("notes.txt", "ant/readme.md"), "'photos' has no images; it contains only 'notes.txt', 'readme.md'; use"),
        (("a.txt", "b.txt", "c.txt", "d.txt"), "it contains only 'a.txt', 'b.txt', 'c.txt', ...; use"),
    ],
)
def test_a_folder_without_images_is_an_error_that_says_what_it_contains(
    tmp_path: Path, files: tuple[str, ...], message: str
) -> None:
    for name in files:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    with pytest.raises(DataError, match=re.escape(message)):
        check_trainable(list_folder(tmp_path), "photos")


def test_val_without_train_is_an_error(check: Check) -> None:
    with pytest.raises(DataError, match="'photos' has val but no train"):
        check({"val/ant": 1, "val/bee": 1})


def test_an_empty_val_is_an_error(check: Check) -> None:
    with pytest.raises(DataError, match="'photos' has no images in val; add some, or remove val"):
        check({"train/ant": 1, "train/bee": 1, "val/ant": 0})
