"""Folders whose classes are part of the file names."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from zoo.data.sources.flat_folder import list_flat_folder
from zoo.errors import DataError

CAT_OR_DOG = re.compile(r"^(cat|dog)\.")


def touch(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


def test_kaggle_folders_with_unlabeled_test_images(tmp_path: Path) -> None:
    touch(tmp_path, "train/cat.0.jpg", "train/dog.0.jpg", "train/dog.1.jpg", "test/1.jpg", "sample.csv")
    listing = list_flat_folder(tmp_path, CAT_OR_DOG)
    assert listing.classes_of == {"train": ("cat", "dog")}
    assert [(file.class_name, file.name) for file in listing.files] == [
        ("cat", "cat.0.jpg"),
        ("dog", "dog.0.jpg"),
        ("dog", "dog.1.jpg"),
    ]
    assert {item.path.name: item.reason for item in listing.left_out} == {
        "1.jpg": "its name does not match `label_from`",
        "sample.csv": "not train, val or test",
    }


def test_a_folder_without_splits_includes_its_subfolders(tmp_path: Path) -> None:
    touch(tmp_path, "cat.0.jpg", "more/dog.0.jpg", ".hidden/dog.1.jpg")
    listing = list_flat_folder(tmp_path, CAT_OR_DOG)
    assert not listing.has_splits
    assert [(file.class_name, file.name) for file in listing.files] == [("cat", "cat.0.jpg"), ("dog", "more/dog.0.jpg")]
    assert [item.reason for item in listing.left_out] == ["hidden folder"]


@pytest.mark.parametrize("pattern", ["[a-z]+(?=_)", "([a-z]+)_", "(?:x|)([a-z]+)_"])
def test_the_class_is_the_group_or_the_whole_match(tmp_path: Path, pattern: str) -> None:
    touch(tmp_path, "beagle_1.jpg", "pug_2.png")
    assert list_flat_folder(tmp_path, re.compile(pattern)).classes == ("beagle", "pug")


def test_an_empty_match_is_not_a_class(tmp_path: Path) -> None:
    touch(tmp_path, "cat1.jpg", "2.jpg")
    listing = list_flat_folder(tmp_path, re.compile(r"^(cat)?"))
    assert len(listing.files) == 1
    assert [item.path.name for item in listing.left_out] == ["2.jpg"]


def test_a_pattern_that_matches_no_image_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no image whose name matches"):
        list_flat_folder(touch(tmp_path, "1.jpg", "cat.0.txt"), CAT_OR_DOG)


def test_linked_folders_are_left_out(tmp_path: Path) -> None:
    touch(tmp_path, "cat.0.jpg")
    (tmp_path / "again").symlink_to(".", target_is_directory=True)
    listing = list_flat_folder(tmp_path, CAT_OR_DOG)
    assert len(listing.files) == 1
    assert [item.reason for item in listing.left_out] == ["a link to a folder that contains it"]
