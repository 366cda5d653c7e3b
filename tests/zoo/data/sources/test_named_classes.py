"""Where class folders are missing, but the file names contain the classes, messages suggest ``label_from``."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from zoo.data.eval_dataset import Trained, open_labeled
from zoo.data.listing import check_trainable
from zoo.data.sources.flat_folder import list_flat_folder
from zoo.data.sources.folder import list_folder
from zoo.data.sources.named_classes import PATTERN, suggest_label_from
from zoo.errors import DataError
from zoo.progress import Silent

KAGGLE = ("train/cat.0.jpg", "train/cat.1.jpg", "train/dog.0.jpg", "test/1.jpg", "test/2.jpg")
HINT = r"\. If the file names contain the classes, as in 'cat\.0\.jpg' and 'dog\.0\.jpg', set `label_from` to '.*'\.$"


def write(folder: Path, names: tuple[str, ...]) -> Path:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return folder


def check(folder: Path) -> None:
    check_trainable(list_folder(folder), "kag")


def test_splits_without_class_folders_blame_train_and_suggest_label_from(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"train' has no class folders; use train/CLASS/IMAGE.*" + HINT):
        check(write(tmp_path, KAGGLE))


def test_train_without_class_folders_beside_a_class_suggests_label_from(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="named like a train split.*" + HINT):
        check(write(tmp_path, (*KAGGLE, "bird/1.jpg")))


def test_a_folder_without_subfolders_suggests_label_from(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="has no folder of images.*" + HINT):
        check(write(tmp_path, ("cat.0.jpg", "dog.0.jpg")))


def test_an_evaluation_without_class_folders_suggests_label_from(tmp_path: Path) -> None:
    listing = list_folder(write(tmp_path, ("cat.0.jpg", "dog.0.jpg")))
    with pytest.raises(DataError, match="has no readable images in all; .*" + HINT):
        open_labeled(listing, "kag", None, trained=Trained(("cat", "dog")), progress=Silent())


def test_the_suggested_pattern_finds_the_classes(tmp_path: Path) -> None:
    names = ("train/cat.0.jpg", "train/shiba_inu_12.jpg", "train/great dane (3).jpg", "train/cattle-7.png")
    assert f"'{PATTERN}'" in suggest_label_from(map(Path, names))
    listing = list_flat_folder(write(tmp_path, names), re.compile(PATTERN))
    assert listing.classes == ("cat", "cattle", "great dane", "shiba_inu")


@pytest.mark.parametrize(
    "names",
    [
        ("1.jpg", "2.jpg"),
        ("IMG_1.jpg", "IMG_2.jpg"),
        ("cat.jpg", "dog.jpg"),
        ("labels1.csv", "readme2.txt"),
        ("a1f.jpg", "b2.jpg"),
    ],
)
def test_names_without_several_numbered_words_suggest_nothing(names: tuple[str, ...]) -> None:
    assert suggest_label_from(map(Path, names)) == ""
