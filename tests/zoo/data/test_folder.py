"""Layouts, classes, and what is passed over."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from zoo.data.folder import Listing, list_images
from zoo.errors import DataError

Plant = Callable[[Path, Mapping[str, int]], Path]


def table(listing: Listing) -> list[tuple[str, str, str]]:
    return [(file.split, file.class_name, file.name) for file in listing.files]


def reasons(listing: Listing) -> dict[str, str]:
    return {item.path.name: item.reason for item in listing.left_out}


def test_given_splits_are_kept(tmp_path: Path, plant: Plant) -> None:
    listing = list_images(plant(tmp_path, {"train/bee": 1, "train/ant": 2, "val/ant": 1, "test/bee": 1}))
    assert listing.classes == ("ant", "bee")
    assert listing.splits == ("train", "val", "test")
    assert table(listing) == [
        ("train", "ant", "0.png"),
        ("train", "ant", "1.png"),
        ("train", "bee", "0.png"),
        ("val", "ant", "0.png"),
        ("test", "bee", "0.png"),
    ]


@pytest.mark.parametrize("name", ["val", "valid", "validation", "Val"])
def test_val_goes_by_several_names(tmp_path: Path, plant: Plant, name: str) -> None:
    listing = list_images(plant(tmp_path, {"train/ant": 1, "train/bee": 1, f"{name}/ant": 1}))
    assert listing.splits == ("train", "val")


def test_two_folders_for_one_split_are_refused(tmp_path: Path, plant: Plant) -> None:
    plant(tmp_path, {"train/ant": 1, "train/bee": 1, "val/ant": 1, "valid/ant": 1})
    with pytest.raises(DataError, match="both 'val' and 'valid'"):
        list_images(tmp_path)


def test_a_flat_folder_is_all_train(tmp_path: Path, plant: Plant) -> None:
    listing = list_images(plant(tmp_path, {"ant": 1, "bee": 1}))
    assert listing.splits == ("train",)
    assert listing.classes == ("ant", "bee")


def test_a_class_may_be_called_train(tmp_path: Path, plant: Plant) -> None:
    assert list_images(plant(tmp_path, {"train": 1, "car": 1, "test": 1})).classes == ("car", "test", "train")


def test_splits_without_class_folders_are_no_classes(tmp_path: Path, plant: Plant) -> None:
    with pytest.raises(DataError, match="no folder for each class"):
        list_images(plant(tmp_path, {"train": 2, "val": 2}))


def test_a_single_folder_on_top_is_passed_through(tmp_path: Path, plant: Plant) -> None:
    plant(tmp_path / "a" / "b", {"train/ant": 1, "train/bee": 1})
    (tmp_path / "readme.txt").touch()
    (tmp_path / "__MACOSX").mkdir()
    listing = list_images(tmp_path)
    assert listing.folder == tmp_path / "a" / "b"
    assert len(listing.files) == 2


def test_folders_below_a_class_belong_to_it(tmp_path: Path, plant: Plant) -> None:
    listing = list_images(plant(tmp_path, {"ant/2024/may": 1, "ant/2025": 1, "bee": 1}))
    assert table(listing)[:2] == [("train", "ant", "2024/may/0.png"), ("train", "ant", "2025/0.png")]


def test_hidden_files_and_litter_are_passed_over_in_silence(tmp_path: Path, plant: Plant) -> None:
    plant(tmp_path, {"ant": 1, "bee": 1, ".ipynb_checkpoints": 1, "__MACOSX/ant": 1, "ant/.cache": 1})
    for name in ("Thumbs.db", "desktop.ini", "ant/._0.png", ".DS_Store"):
        (tmp_path / name).touch()
    listing = list_images(tmp_path)
    assert listing.classes == ("ant", "bee")
    assert len(listing.files) == 2
    assert listing.left_out == ()


def test_what_is_no_image_by_its_name_is_named(tmp_path: Path, plant: Plant) -> None:
    plant(tmp_path, {"ant": 1, "bee": 1})
    for name in ("ant/placeholder.gif", "ant/notes.txt", "ant/noext", "labels.csv"):
        (tmp_path / name).touch()
    found = reasons(list_images(tmp_path))
    assert found.keys() == {"placeholder.gif", "notes.txt", "noext", "labels.csv"}
    assert ".gif is not one of" in found["placeholder.gif"]
    assert "no class" in found["labels.csv"]


def test_every_suffix_counts_in_either_case(tmp_path: Path, plant: Plant) -> None:
    plant(tmp_path, {"ant": 0, "bee": 1})
    for suffix in (".jpg", ".JPEG", ".png", ".WebP", ".bmp", ".tif", ".TIFF"):
        (tmp_path / "ant" / f"x{suffix}").touch()
    assert len(list_images(tmp_path).files) == 8


def test_a_class_that_only_val_has_is_named(tmp_path: Path, plant: Plant) -> None:
    plant(tmp_path, {"train/ant": 1, "train/bee": 1, "val/ant": 1, "val/wasp": 1})
    with pytest.raises(DataError, match="val has classes that train lacks: 'wasp'"):
        list_images(tmp_path)


def test_an_empty_class_is_named_with_what_to_do(tmp_path: Path, plant: Plant) -> None:
    plant(tmp_path, {"ant": 1, "bee": 1, "wasp": 0})
    with pytest.raises(DataError, match=r"wasp.*; put images there or remove the folder"):
        list_images(tmp_path)


@pytest.mark.parametrize("counts", [{}, {"ant": 2}, {"train/ant": 1, "val/ant": 1}])
def test_fewer_than_two_classes_is_an_error_that_shows_the_layouts(
    tmp_path: Path, plant: Plant, counts: dict[str, int]
) -> None:
    with pytest.raises(DataError, match=r"train/CLASS/IMAGE .* or CLASS/IMAGE"):
        list_images(plant(tmp_path, counts))


def test_val_without_train_is_an_error(tmp_path: Path, plant: Plant) -> None:
    with pytest.raises(DataError, match="has val but no train"):
        list_images(plant(tmp_path, {"val/ant": 1, "val/bee": 1}))


def test_an_empty_val_is_an_error(tmp_path: Path, plant: Plant) -> None:
    with pytest.raises(DataError, match="val holds no images"):
        list_images(plant(tmp_path, {"train/ant": 1, "train/bee": 1, "val/ant": 0}))


def test_a_test_split_without_classes_is_left_out_and_named(tmp_path: Path, plant: Plant) -> None:
    listing = list_images(plant(tmp_path, {"train/ant": 1, "train/bee": 1, "test": 3, "unlabelled/x": 2}))
    assert listing.splits == ("train",)
    assert reasons(listing) == {
        "test": "a test split without class folders",
        "unlabelled": "neither train, val nor test",
    }


def test_names_in_either_unicode_form_are_one_class(tmp_path: Path, plant: Plant) -> None:
    listing = list_images(plant(tmp_path, {"train/caf\u00e9": 1, "train/tea": 1, "val/cafe\u0301": 1}))
    assert listing.classes == ("caf\u00e9", "tea")
    assert {file.class_name for file in listing.files if file.split == "val"} == {"caf\u00e9"}


def test_two_folders_that_are_one_class_are_refused(tmp_path: Path, plant: Plant) -> None:
    plant(tmp_path / "forms", {"caf\u00e9": 1, "cafe\u0301": 1, "tea": 1})
    plant(tmp_path / "links", {"ant": 1, "bee": 1})
    (tmp_path / "links" / "wasp").symlink_to("ant", target_is_directory=True)
    for folder in (tmp_path / "forms", tmp_path / "links"):
        with pytest.raises(DataError, match="are the same class"):
            list_images(folder)


def test_links_that_lead_back_multiply_nothing_and_mislabel_nothing(tmp_path: Path, plant: Plant) -> None:
    plant(tmp_path, {"train/ant/deep": 2, "train/bee": 2, "val/ant": 1})
    for place, target in {"self": ".", "parent": "..", "sibling": "../bee", "top": "../..", "val": "../../val"}.items():
        (tmp_path / "train/ant" / place).symlink_to(target, target_is_directory=True)
    listing = list_images(tmp_path)
    assert table(listing) == [
        ("train", "ant", "deep/0.png"),
        ("train", "ant", "deep/1.png"),
        ("train", "bee", "0.png"),
        ("train", "bee", "1.png"),
        ("val", "ant", "0.png"),
    ]
    assert reasons(listing).keys() == {"self", "parent", "sibling", "top", "val"}


def test_a_class_may_be_a_link_to_a_folder_elsewhere(tmp_path: Path, plant: Plant) -> None:
    plant(tmp_path / "store", {"ants": 2})
    plant(tmp_path / "data", {"bee": 1})
    (tmp_path / "data" / "ant").symlink_to(tmp_path / "store" / "ants", target_is_directory=True)
    assert len(list_images(tmp_path / "data").files) == 3


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_pipes_and_broken_links_are_left_out(tmp_path: Path, plant: Plant) -> None:
    plant(tmp_path, {"ant": 1, "bee": 1})
    os.mkfifo(tmp_path / "ant" / "pipe.jpg")
    (tmp_path / "ant" / "broken.jpg").symlink_to("nowhere.jpg")
    (tmp_path / "ant" / "loop.jpg").symlink_to("loop.jpg")
    found = reasons(list_images(tmp_path))
    assert found["pipe.jpg"] == "not a regular file"
    assert found["broken.jpg"].startswith("cannot be opened")
    assert found["loop.jpg"].startswith("cannot be opened")
