"""Folder layouts, classes, and files that are left out."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from zoo.data.listing import Listing
from zoo.data.sources.folder import list_folder
from zoo.errors import DataError

Plant = Callable[[Path, Mapping[str, int]], Path]


def table(listing: Listing) -> list[tuple[str, str, str]]:
    return [(file.split, file.class_name, file.name) for file in listing.files]


def reasons(listing: Listing) -> dict[str, str]:
    return {item.path.name: item.reason for item in listing.left_out}


def test_given_splits_are_kept(tmp_path: Path, plant: Plant) -> None:
    listing = list_folder(plant(tmp_path, {"train/bee": 1, "train/ant": 2, "val/ant": 1, "test/bee": 1}))
    assert listing.has_splits
    assert listing.classes == ("ant", "bee")
    assert listing.splits == ("train", "val", "test")
    assert table(listing) == [
        ("train", "ant", "0.png"),
        ("train", "ant", "1.png"),
        ("train", "bee", "0.png"),
        ("val", "ant", "0.png"),
        ("test", "bee", "0.png"),
    ]


@pytest.mark.parametrize("name", ["val", "valid", "validation", "Val", "dev", "Val_Set", "validation images"])
def test_val_folder_may_have_several_names(tmp_path: Path, plant: Plant, name: str) -> None:
    listing = list_folder(plant(tmp_path, {"train/ant": 1, "train/bee": 1, f"{name}/ant": 1}))
    assert listing.splits == ("train", "val")


def test_two_folders_for_one_split_are_an_error(tmp_path: Path, plant: Plant) -> None:
    plant(tmp_path, {"train/ant": 1, "train/bee": 1, "val/ant": 1, "valid/ant": 1})
    with pytest.raises(DataError, match="both 'val' and 'valid'"):
        list_folder(tmp_path)


def test_class_folders_without_splits_belong_to_train(tmp_path: Path, plant: Plant) -> None:
    listing = list_folder(plant(tmp_path, {"ant": 1, "bee": 1}))
    assert not listing.has_splits
    assert listing.splits == ("train",)
    assert listing.classes == ("ant", "bee")


def test_split_folders_without_class_folders_are_not_classes(tmp_path: Path, plant: Plant) -> None:
    with pytest.raises(DataError, match="has no class folders"):
        list_folder(plant(tmp_path, {"train": 2, "val": 2}))


def test_a_single_folder_at_the_top_is_entered(tmp_path: Path, plant: Plant) -> None:
    plant(tmp_path / "a" / "b", {"train/ant": 1, "train/bee": 1})
    (tmp_path / "readme.txt").touch()
    (tmp_path / "__MACOSX").mkdir()
    listing = list_folder(tmp_path)
    assert [file.path for file in listing.files] == sorted((tmp_path / "a" / "b" / "train").glob("*/*.png"))
    assert table(listing) == [("train", "ant", "0.png"), ("train", "bee", "0.png")]


def test_subfolders_of_a_class_belong_to_it(tmp_path: Path, plant: Plant) -> None:
    listing = list_folder(plant(tmp_path, {"ant/2024/may": 1, "ant/2025": 1, "bee": 1}))
    assert table(listing)[:2] == [("train", "ant", "2024/may/0.png"), ("train", "ant", "2025/0.png")]


def test_hidden_and_system_folders_and_hidden_images_are_left_out_with_a_reason(tmp_path: Path, plant: Plant) -> None:
    plant(tmp_path, {"ant": 1, "bee": 1, ".ipynb_checkpoints": 1, "__MACOSX/ant": 1, "ant/.cache": 1, "@eaDir/x": 1})
    for name in ("Thumbs.db", "desktop.ini", "ant/._0.png", ".DS_Store"):
        (tmp_path / name).touch()
    listing = list_folder(tmp_path)
    assert listing.classes == ("ant", "bee")
    assert len(listing.files) == 2
    assert reasons(listing) == {
        ".ipynb_checkpoints": "hidden folder",
        "__MACOSX": "system folder",
        "@eaDir": "system folder",
        ".cache": "hidden folder",
        "._0.png": "hidden file",
    }


def test_runs_of_zoo_beside_the_classes_are_left_out(tmp_path: Path, plant: Plant) -> None:
    plant(tmp_path, {"ant": 1, "bee": 1, "runs/one/baseline": 1, "my_run": 1})
    for run in ("runs/one", "my_run"):
        for name in ("run.json", "history.jsonl"):
            (tmp_path / run / name).touch()
    listing = list_folder(tmp_path)
    assert listing.classes == ("ant", "bee")
    assert reasons(listing) == {"runs": "run folder", "my_run": "run folder"}


@pytest.mark.parametrize("files", [("checkpoints/begun.json",), ("checkpoints/0001.pt", "model.safetensors"), ()])
@pytest.mark.parametrize("folder", ["runs", "results", "my_run"])
def test_interrupted_runs_beside_the_classes_are_left_out(
    tmp_path: Path, plant: Plant, folder: str, files: tuple[str, ...]
) -> None:
    plant(tmp_path, {"ant": 1, "bee": 1})
    run = tmp_path / folder / ("" if folder == "my_run" else "one")
    for name in ("history.jsonl", *files):
        (run / name).parent.mkdir(parents=True, exist_ok=True)
        (run / name).touch()
    listing = list_folder(tmp_path)
    assert listing.classes == ("ant", "bee")
    assert reasons(listing) == {folder: "run folder"}


def test_a_class_that_also_contains_a_run_is_a_class(tmp_path: Path, plant: Plant) -> None:
    plant(tmp_path, {"ant": 1, "bee": 1, "ant/zoo_run": 0})
    for name in ("run.json", "history.jsonl"):
        (tmp_path / "ant" / "zoo_run" / name).touch()
    listing = list_folder(tmp_path)
    assert listing.classes == ("ant", "bee")
    assert reasons(listing) == {"zoo_run": "run folder"}


@pytest.mark.parametrize("name", ["@Recycle", "#recycle", "@Recently-Snapshot", "#snapshot", "@eaDir"])
def test_folders_that_network_drives_add_are_not_classes(tmp_path: Path, plant: Plant, name: str) -> None:
    listing = list_folder(plant(tmp_path, {"ant": 1, "bee": 1, name: 1}))
    assert listing.classes == ("ant", "bee")
    assert reasons(listing) == {name: "system folder"}


def test_unsupported_file_types_are_left_out_with_a_reason(tmp_path: Path, plant: Plant) -> None:
    plant(tmp_path, {"ant": 1, "bee": 1})
    for name in ("ant/drawing.svg", "ant/notes.txt", "ant/noext", "labels.csv"):
        (tmp_path / name).touch()
    found = reasons(list_folder(tmp_path))
    assert found.keys() == {"drawing.svg", "notes.txt", "noext", "labels.csv"}
    assert found["drawing.svg"].startswith("unsupported file type .svg (zoo reads .jpg .jpeg .jpe .jfif .png .gif")
    assert found["noext"].startswith("unsupported file type (no suffix)")
    assert found["labels.csv"] == "not in a class folder"


def test_suffixes_are_not_case_sensitive(tmp_path: Path, plant: Plant) -> None:
    plant(tmp_path, {"ant": 0, "bee": 1})
    suffixes = (".jpg", ".JPEG", ".jpe", ".JFIF", ".png", ".gif", ".WebP", ".AVIF", ".HEIC", ".heif", ".bmp", ".TIFF")
    for suffix in suffixes:
        (tmp_path / "ant" / f"x{suffix}").touch()
    assert len(list_folder(tmp_path).files) == len(suffixes) + 1


def test_a_test_split_without_class_folders_is_left_out(tmp_path: Path, plant: Plant) -> None:
    listing = list_folder(plant(tmp_path, {"train/ant": 1, "train/bee": 1, "test": 3, "unlabeled/x": 2}))
    assert listing.splits == ("train",)
    assert reasons(listing) == {
        "test": "a test split without class folders",
        "unlabeled": "not train, val or test",
    }


def test_both_unicode_forms_of_a_name_are_one_class(tmp_path: Path, plant: Plant) -> None:
    listing = list_folder(plant(tmp_path, {"train/caf\u00e9": 1, "train/tea": 1, "val/cafe\u0301": 1}))
    assert listing.classes == ("caf\u00e9", "tea")
    assert {file.class_name for file in listing.files if file.split == "val"} == {"caf\u00e9"}


def test_two_folders_for_one_class_are_an_error(tmp_path: Path, plant: Plant) -> None:
    plant(tmp_path / "forms", {"caf\u00e9": 1, "cafe\u0301": 1, "tea": 1})
    plant(tmp_path / "links", {"ant": 1, "bee": 1})
    (tmp_path / "links" / "wasp").symlink_to("ant", target_is_directory=True)
    for folder in (tmp_path / "forms", tmp_path / "links"):
        with pytest.raises(DataError, match="are the same class"):
            list_folder(folder)


def test_links_to_listed_folders_do_not_duplicate_or_mislabel_images(tmp_path: Path, plant: Plant) -> None:
    plant(tmp_path, {"train/ant/deep": 2, "train/bee": 2, "val/ant": 1})
    for place, target in {"self": ".", "parent": "..", "sibling": "../bee", "top": "../..", "val": "../../val"}.items():
        (tmp_path / "train/ant" / place).symlink_to(target, target_is_directory=True)
    listing = list_folder(tmp_path)
    assert table(listing) == [
        ("train", "ant", "deep/0.png"),
        ("train", "ant", "deep/1.png"),
        ("train", "bee", "0.png"),
        ("train", "bee", "1.png"),
        ("val", "ant", "0.png"),
    ]
    assert reasons(listing).keys() == {"self", "parent", "sibling", "top", "val"}


def test_a_single_folder_that_links_back_is_not_entered_forever(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "loop").symlink_to("..", target_is_directory=True)
    assert list_folder(tmp_path).files == ()


def test_a_class_may_be_a_link_to_a_folder_elsewhere(tmp_path: Path, plant: Plant) -> None:
    plant(tmp_path / "store", {"ants": 2})
    plant(tmp_path / "data", {"bee": 1})
    (tmp_path / "data" / "ant").symlink_to(tmp_path / "store" / "ants", target_is_directory=True)
    assert len(list_folder(tmp_path / "data").files) == 3


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_pipes_and_broken_links_are_left_out(tmp_path: Path, plant: Plant) -> None:
    plant(tmp_path, {"ant": 1, "bee": 1})
    os.mkfifo(tmp_path / "ant" / "pipe.jpg")
    (tmp_path / "ant" / "broken.jpg").symlink_to("nowhere.jpg")
    (tmp_path / "ant" / "loop.jpg").symlink_to("loop.jpg")
    found = reasons(list_folder(tmp_path))
    assert found["pipe.jpg"] == "not a regular file"
    assert found["broken.jpg"].startswith("cannot be opened")
    assert found["loop.jpg"].startswith("cannot be opened")


def test_a_folder_that_is_named_like_an_image_is_reported_if_it_is_empty(tmp_path: Path, plant: Plant) -> None:
    plant(tmp_path, {"ant": 1, "bee": 1, "ant/empty.jpg": 0, "ant/litter.png": 0, "ant/album.jpg": 2, "ant/plain": 0})
    (tmp_path / "ant" / "litter.png" / ".DS_Store").touch()
    listing = list_folder(tmp_path)
    assert reasons(listing) == dict.fromkeys(["empty.jpg", "litter.png"], "a folder, not an image")
    assert len(listing.files) == 4


def test_a_class_name_may_contain_a_joiner_between_letters(tmp_path: Path, plant: Plant) -> None:
    name = "می\u200cخوب"
    assert list_folder(plant(tmp_path / "good", {name: 1, "bee": 1})).classes == ("bee", name)
    with pytest.raises(DataError, match="has an unprintable name"):
        list_folder(plant(tmp_path / "bad", {f"{name}\u200c": 1, "bee": 1}))
