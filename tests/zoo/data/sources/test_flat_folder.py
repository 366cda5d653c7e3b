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
    assert [(item.path.name, item.reason, item.split) for item in listing.left_out] == [
        ("sample.csv", "not train, val or test", None),
        ("1.jpg", "its name does not match `label_from`", "test"),
    ]


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


def test_names_that_contain_several_classes_get_a_note(tmp_path: Path) -> None:
    touch(tmp_path, "cat.0.jpg", "cat.dog.1.jpg", "dog.2.jpg", "dog.dog.3.jpg")
    listing = list_flat_folder(tmp_path, re.compile("[a-z]+"))
    assert [file.class_name for file in listing.files] == ["cat", "cat", "dog", "dog"]
    assert listing.notes == (
        "`label_from` matches several times in 1 of 4 file names; the first match counts: 'cat.dog.1.jpg' is 'cat'",
    )


def test_folders_with_the_name_of_another_class_get_a_note(tmp_path: Path) -> None:
    touch(tmp_path, "train/cat/cat.0.jpg", "train/cat/dog.1.jpg", "train/x/dog.2.jpg")
    listing = list_flat_folder(tmp_path, CAT_OR_DOG)
    (note,) = listing.notes
    assert note.startswith("for 1 of 3 images, `label_from` finds another class than the name of the folder")
    assert note.endswith("'cat/dog.1.jpg', which is 'dog'")


def test_folders_that_may_be_unknown_splits_get_a_note(tmp_path: Path) -> None:
    touch(tmp_path, "trn/cat.0.jpg", "tst/dog.1.jpg")
    listing = list_flat_folder(tmp_path, CAT_OR_DOG)
    assert listing.notes == ("the images of the folders 'trn', 'tst' are used together, because no folder is a split",)


def test_splits_in_the_names_of_all_files_get_a_note(tmp_path: Path) -> None:
    touch(tmp_path, "cat.train.jpg", "dog.test.jpg")
    assert "the file names contain splits" in list_flat_folder(tmp_path, CAT_OR_DOG).notes[0]


def test_a_pattern_that_matches_no_image_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no image whose name matches"):
        list_flat_folder(touch(tmp_path, "1.jpg", "cat.0.txt"), CAT_OR_DOG)


def test_linked_folders_are_left_out(tmp_path: Path) -> None:
    touch(tmp_path, "cat.0.jpg")
    (tmp_path / "again").symlink_to(".", target_is_directory=True)
    listing = list_flat_folder(tmp_path, CAT_OR_DOG)
    assert len(listing.files) == 1
    assert [item.reason for item in listing.left_out] == ["a link to a folder that contains it"]


@pytest.mark.parametrize("wrapper", ["", "dogs-vs-cats/", "export/photos/"])
@pytest.mark.parametrize(("train", "test"), [("train", "test"), ("seg_train", "seg_test"), ("train", "final_test")])
def test_test_images_are_never_used_for_training(tmp_path: Path, wrapper: str, train: str, test: str) -> None:
    names = [f"{wrapper}{split}/{name}.jpg" for split in (train, test) for name in ("cat.0", "dog.1")]
    listing = list_flat_folder(touch(tmp_path, *names, "readme.txt"), CAT_OR_DOG)
    assert listing.classes_of == {"train": ("cat", "dog"), "test": ("cat", "dog")}
    assert {file.path.parent.name: file.split for file in listing.files} == {train: "train", test: "test"}
    assert [item.path.name for item in listing.left_out] == ["readme.txt"]


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("cat.9.jpg", "data/train/cat.0.jpg", "data/test/dog.1.jpg"), "whether the folder 'test' in .*data"),
        (("more/cat.9.jpg", "data/train/cat.0.jpg", "data/test/dog.1.jpg"), "whether the folder 'test' in .*data"),
        (("train/cat.0.jpg", "train/old/test/dog.1.jpg"), "whether the folder 'test' in .*old"),
        (("cars_train/cat.0.jpg", "test_b/dog.1.jpg"), "whether 'cars_train' in .* is a split; if it is, rename it to"),
        (("my_test/cat.0.jpg", "photos/dog.1.jpg"), "whether 'my_test' in .* is a split; if it is, rename it to test"),
        (("train_a/cat.0.jpg", "train_b/cat.1.jpg", "test_a/dog.1.jpg"), "both 'train_a' and 'train_b'"),
    ],
)
def test_folders_that_may_be_splits_are_refused(tmp_path: Path, names: tuple[str, ...], message: str) -> None:
    with pytest.raises(DataError, match=message):
        list_flat_folder(touch(tmp_path, *names), CAT_OR_DOG)


def test_images_beside_a_single_subfolder_are_used(tmp_path: Path) -> None:
    listing = list_flat_folder(touch(tmp_path, "cat.0.jpg", "more/2024/dog.0.jpg"), CAT_OR_DOG)
    assert [file.name for file in listing.files] == ["cat.0.jpg", "more/2024/dog.0.jpg"]


def test_an_unprintable_class_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"has the unprintable class 'c\\x1bt'; rename it"):
        list_flat_folder(touch(tmp_path, "c\x1bt.0.jpg", "dog.1.jpg"), re.compile(r"^([^.]+)\."))


def test_a_pattern_that_takes_exponentially_long_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZOO_MAX_MATCH_SECONDS", "1")
    touch(tmp_path, "a" * 60 + ".jpg")
    with pytest.raises(DataError, match=r"takes more than 1 seconds for 1 file names; use a simpler pattern"):
        list_flat_folder(tmp_path, re.compile("(a+)+$"))


def test_names_that_are_not_utf_8_are_searched(tmp_path: Path) -> None:
    touch(tmp_path, "cat.\udcff.jpg", "dog.\u00e9.jpg")
    assert list_flat_folder(tmp_path, CAT_OR_DOG).classes_of == {"train": ("cat", "dog")}
