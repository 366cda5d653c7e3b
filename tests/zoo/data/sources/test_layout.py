"""Which folders are splits and which are classes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from zoo.data.sources.entries import Entries
from zoo.data.sources.folder import list_folder
from zoo.data.sources.layout import _Candidate, _refuse_unclear
from zoo.errors import DataError

Plant = Callable[[Path, Mapping[str, int]], Path]


@pytest.mark.parametrize(
    "names",
    [
        ("Training", "Testing"),
        ("training_set", "test_set"),
        ("seg_train", "seg_test"),
        ("cars_train", "cars_test"),
        ("trainset", "testset"),
        ("train", "evaluation"),
        ("TRAIN", "Eval"),
        ("train2017", "test2017"),
        ("dataTrain", "dataTest"),
        ("01-train", "02-test"),
        ("train", "final_test"),
    ],
)
def test_splits_are_found_under_the_names_that_people_use(tmp_path: Path, plant: Plant, names: tuple[str, str]) -> None:
    train, test = names
    listing = list_folder(plant(tmp_path, {f"{train}/ant": 2, f"{train}/bee": 1, f"{test}/ant": 1}))
    assert listing.has_splits
    assert listing.classes_of == {"train": ("ant", "bee"), "test": ("ant",)}


def test_a_folder_of_the_same_name_inside_a_split_is_entered(tmp_path: Path, plant: Plant) -> None:
    counts = {
        "seg_train/seg_train/ant": 2,
        "seg_train/seg_train/bee": 1,
        "seg_test/seg_test/ant": 1,
        "seg_pred/seg_pred": 3,
    }
    listing = list_folder(plant(tmp_path, counts))
    assert listing.classes_of == {"train": ("ant", "bee"), "test": ("ant",)}
    assert [(item.path.name, item.reason) for item in listing.left_out] == [("seg_pred", "not train, val or test")]


@pytest.mark.parametrize(
    ("counts", "message"),
    [
        ({"first/ant": 1, "first/bee": 1, "second/ant": 1, "second/bee": 1}, "contain folders with the same names"),
        ({"ant/day": 1, "ant/night": 1, "bee/day": 1, "bee/night": 1}, "contain folders with the same names"),
        ({"train_station/day": 1, "train_station/night": 1, "airport": 1}, "'train_station' is a split or a class"),
        ({"seg_train/ant": 1, "seg_train/bee": 1, "more/wasp": 1}, "'seg_train' is a split or a class"),
        ({"train/steam": 1, "train/diesel": 1, "bus": 1, "car": 1}, "'train' is the train split or a class"),
        ({"test/ant": 1, "test/bee": 1, "ant": 1, "bee": 1}, "'test' is the test split or a class"),
        ({"train": 1, "bus": 1, "car": 1}, "named like a train split, but has no class folders"),
        ({"valid": 1, "invalid": 1}, "named like a val split, but has no class folders"),
        ({"Training": 1, "Testing": 1}, "has no class folders"),
        ({"training_set": 1, "test_set": 1}, "has no class folders"),
        ({"seg_train": 1, "seg_test": 1, "seg_pred": 1}, "has no class folders"),
        ({"trainA": 1, "trainB": 1, "testA": 1, "testB": 1}, "has no class folders"),
        ({"data/train/ant": 1, "data/test/ant": 1, "samples": 1}, "whether the folder 'test' in .*data"),
        ({"x/data/train/ant": 1, "x/data/test/ant": 1, "samples": 1}, "whether the folder 'test' in .*data"),
        ({"data/seg_train/ant": 1, "data/seg_test/ant": 1, "samples": 1}, "whether the folder 'seg_test' in .*data"),
        ({"data/my_train/ant": 1, "data/my_train/bee": 1, "samples": 1}, "whether the folder 'my_train' in .*data"),
        ({"cats/trainset": 1, "cats/testset": 1, "dogs": 1}, "whether the folder 'testset' in .*cats"),
        ({"cats/train": 1, "cats/test": 1, "dogs": 1}, "whether the folder 'test' in .*cats"),
        ({"cats/train": 1, "dogs/train": 1}, "whether the folder 'train' in .*cats"),
        ({"train/cats/Testing": 1, "train/dogs": 1}, "whether the folder 'Testing' in .*cats"),
        ({"train/ant": 1, "train/bee": 1, "Training/ant": 1}, "has both 'Training' and 'train'"),
        ({"train/images/ant": 1, "train/images/bee": 1, "train/masks/ant": 1}, "whether '.*images' is a class"),
        ({"images/ant": 1, "images/bee": 1, "figures": 1}, "whether '.*images' is a class"),
    ],
)
def test_folders_that_may_be_splits_or_classes_are_refused(
    tmp_path: Path, plant: Plant, counts: dict[str, int], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        list_folder(plant(tmp_path, counts))


def test_a_folder_in_a_class_may_repeat_the_name_of_its_split(tmp_path: Path, plant: Plant) -> None:
    listing = list_folder(plant(tmp_path, {"train/ant/train": 2, "train/bee": 1, "test/bee": 1}))
    assert [file.split for file in listing.files] == ["train", "train", "train", "test"]


def test_a_folder_of_test_images_is_not_a_class(tmp_path: Path, plant: Plant) -> None:
    listing = list_folder(plant(tmp_path, {"ants": 2, "bees": 2, "test": 20}))
    assert listing.classes == ("ants", "bees")
    assert len(listing.files) == 4
    assert [item.reason for item in listing.left_out] == ["a test split without class folders"]


def test_a_class_whose_name_contains_the_name_of_a_split_is_reported(tmp_path: Path, plant: Plant) -> None:
    listing = list_folder(plant(tmp_path, {"beaker": 1, "test_tube/2024": 1}))
    assert listing.classes == ("beaker", "test_tube")
    assert listing.notes == ("'test_tube' is used as a class, although its name contains the name of a split",)


def test_files_beside_a_single_folder_are_left_out(tmp_path: Path, plant: Plant) -> None:
    plant(tmp_path, {"photos/ant": 1, "photos/bee": 1})
    (tmp_path / "readme.txt").touch()
    (item,) = list_folder(tmp_path).left_out
    assert (item.path.name, item.reason) == ("readme.txt", "not in a class folder")


def test_the_number_of_comparisons_grows_with_the_number_of_folders(monkeypatch: pytest.MonkeyPatch) -> None:
    reads = []
    monkeypatch.setattr(_Candidate, "classes", property(lambda self: reads.append(self) or {self.name, "images"}))
    nested = [_Candidate(str(number), Path(), Entries((), (), ()), None, None) for number in range(1000)]
    with pytest.raises(DataError, match="'0' and '1' contain folders with the same names"):
        _refuse_unclear(nested)
    monkeypatch.setattr(_Candidate, "classes", property(lambda self: reads.append(self) or {self.name}))
    reads.clear()
    _refuse_unclear(nested)
    assert len(reads) < 3 * len(nested)
