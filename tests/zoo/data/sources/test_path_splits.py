"""Splits in the paths of a table."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from zoo.data.listing import ImageFile
from zoo.data.sources.path_splits import split_by_path
from zoo.errors import DataError


def list_files(*folders: str, classes: tuple[str, ...] = ("ant", "bee")) -> list[ImageFile]:
    names = [(f"{folder}/{name}{number}.png", name) for folder in folders for name in classes for number in range(2)]
    return [ImageFile(Path("data"), location, "train", name, location) for location, name in names]


def count_splits(*folders: str) -> dict[str, int]:
    files = split_by_path(list_files(*folders))
    return dict(Counter(file.split for file in files)) if files else {}


@pytest.mark.parametrize(
    "folders",
    [
        ("seg_train", "seg_test"),
        ("trainA", "testA"),
        ("data/seg_train", "data/seg_test"),
        ("seg_train/seg_train", "seg_test/seg_test"),
        ("seg_train/day", "seg_train/night", "seg_test/day"),
        # They have other words, but classes in common.
        ("cars_train", "test_b"),
    ],
)
def test_names_that_contain_other_words_are_splits_as_in_a_folder(folders: tuple[str, ...]) -> None:
    found = count_splits(*folders)
    assert found["test"] == 4
    assert found["train"] == 4 * (len(folders) - 1)


def test_one_folder_whose_name_contains_a_split_is_not_a_split() -> None:
    assert count_splits("train_photos_a", "others") == {}


def test_classes_whose_names_contain_a_split_are_not_splits() -> None:
    files = [*list_files("train_car", classes=("train_car",)), *list_files("test_car", classes=("test_car",))]
    assert split_by_path(files) is None


def test_a_split_of_a_family_that_does_not_contain_all_images_is_refused() -> None:
    with pytest.raises(DataError, match="some paths contain the name of a split"):
        count_splits("seg_train", "seg_test", "others")
