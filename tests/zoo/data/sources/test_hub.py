"""Data sets of the Hugging Face Hub, read by the real library from folders of this machine."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from zoo.data.listing import Listing
from zoo.data.source import list_images, look_up
from zoo.data.sources.hub import _choose_splits
from zoo.errors import DataError, OptionError
from zoo.registry.data_options import DataOptions

datasets = pytest.importorskip("datasets")


@pytest.fixture
def list_(cache: Path, names: Any, progress: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    assert cache
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "hf")
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    return lambda value, **options: list_images(value, DataOptions.parse(**options), registry=names, progress=progress)


def draw(number: int) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (5, 4), (number * 20, 0, number)).save(file, "JPEG")
    return file.getvalue()


def make_with(folder: Path, parts: dict[str, dict[str, list[Any]]]) -> Path:
    """Write a data set whose splits have these columns beside the image."""
    for name, columns in parts.items():
        count = len(columns["label"])
        features = datasets.Features(
            {"image": datasets.Image(), **{key: datasets.Value(kind_of(values)) for key, values in columns.items()}}
        )
        rows = {"image": [{"bytes": draw(number), "path": None} for number in range(count)], **columns}
        (folder / "data").mkdir(parents=True, exist_ok=True)
        part = datasets.Dataset.from_dict(rows, features=features)
        part.to_parquet(folder / "data" / f"{name}-00000-of-00001.parquet")
    return folder


def kind_of(values: list[Any]) -> str:
    return "string" if isinstance(values[0], str) else "float64"


def make(folder: Path, **splits: list[int]) -> Path:
    """Write a data set as the library itself writes it, with one image for each label."""
    classes = datasets.ClassLabel(names=["zebra", "ant"])
    coarse = datasets.ClassLabel(names=["x"])
    features = datasets.Features({"image": datasets.Image(), "label": classes, "coarse": coarse})
    number = 0
    for split, labels in splits.items():
        rows = [{"image": {"bytes": draw(number + at)}, "label": label, "coarse": 0} for at, label in enumerate(labels)]
        number += len(labels)
        (folder / "data").mkdir(parents=True, exist_ok=True)
        part = datasets.Dataset.from_list(rows, features=features)
        part.to_parquet(folder / "data" / f"{split}-00000-of-00001.parquet")
    return folder


def pairs(listing: Listing) -> list[tuple[str, str]]:
    return [(file.split, file.class_name) for file in listing.files]


def test_a_data_set_that_the_library_wrote_is_read_with_its_splits_and_classes(tmp_path: Path, list_: Any) -> None:
    make(tmp_path / "pets", train=[0, 1, 0], validation=[1], test=[-1, 0])
    listing = list_(f"hf:{tmp_path}/pets", columns="label=label")
    assert pairs(listing) == [
        ("train", "ant"),
        ("train", "zebra"),
        ("train", "zebra"),
        ("val", "ant"),
        ("test", "zebra"),
    ]
    assert sorted(file.path.read_bytes() for file in listing.files) == sorted(draw(n) for n in (0, 1, 2, 3, 5))
    assert [item.reason for item in listing.left_out] == ["no label"]
    assert listing.notes == ("columns of the table: image 'image', label 'label'",)


def test_the_folder_of_a_download_gives_the_same_images_without_the_library(tmp_path: Path, list_: Any) -> None:
    folder = make(tmp_path / "pets", train=[0, 1, 0], test=[1])
    through_library = list_(f"hf:{folder}", columns="label=label")
    assert pairs(list_(folder, columns="label=label")) == pairs(through_library)
    assert datasets.config.HF_HUB_OFFLINE


def test_a_folder_of_image_files_is_read_by_the_library(tmp_path: Path, list_: Any, plant: Any, progress: Any) -> None:
    plant(tmp_path / "photos", {"train/ant": 2, "train/bee": 1, "test/ant": 1})
    listing = list_(f"hf:{tmp_path}/photos")
    assert pairs(listing) == [("train", "ant"), ("train", "ant"), ("train", "bee"), ("test", "ant")]
    assert any("is a local folder" in line for line in progress.lines)


def test_several_labels_are_an_error_that_names_them(tmp_path: Path, list_: Any) -> None:
    make(tmp_path / "pets", train=[0, 1])
    with pytest.raises(DataError, match="'label', 'coarse' may each be the label column; choose one with `columns`"):
        list_(f"hf:{tmp_path}/pets")


def test_a_row_that_names_a_file_outside_the_data_set_is_an_error(tmp_path: Path, list_: Any) -> None:
    (tmp_path / "secret.jpg").write_bytes(draw(0))
    features = datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(names=["a", "b"])})
    rows = [{"image": {"bytes": None, "path": str(tmp_path / "secret.jpg")}, "label": 0}]
    (tmp_path / "pets").mkdir()
    # to_parquet would embed the file, so write what a hostile author would write.
    table = datasets.Dataset.from_list(rows, features=features).with_format("arrow")[:]
    pytest.importorskip("pyarrow.parquet").write_table(table, tmp_path / "pets" / "train.parquet")
    with pytest.raises(DataError, match=r"secret\.jpg', which is outside the data set"):
        list_(f"hf:{tmp_path}/pets")


def test_errors_of_the_library_are_one_line(tmp_path: Path, list_: Any) -> None:
    with pytest.raises(DataError, match=r"cannot use 'hf:owner/nothing': ConnectionError: .*\.$") as caught:
        list_("hf:owner/nothing")
    assert "\n" not in str(caught.value)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=f"cannot use 'hf:{tmp_path}/empty': "):
        list_(f"hf:{tmp_path}/empty")


def test_zoo_offline_alone_is_an_error(list_: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", False)
    monkeypatch.setenv("ZOO_OFFLINE", "1")
    with pytest.raises(DataError, match="ZOO_OFFLINE is set; set HF_HUB_OFFLINE=1 as well"):
        list_("hf:owner/nothing")


@pytest.mark.parametrize("value", ["hf:csv", "hf:name", "hf:a/b/c", "hf:a b/c", "hf:../nowhere"])
def test_names_that_are_not_of_the_hub_are_refused_before_anything_is_loaded(value: str, names: Any) -> None:
    with pytest.raises(DataError, match="write hf:owner/name"):
        look_up(value, registry=names)


def test_an_option_for_folders_is_refused(list_: Any) -> None:
    with pytest.raises(OptionError, match="`label_from` applies only to a folder"):
        list_("hf:owner/name", label_from="(a|b)")


def test_without_the_library_the_extra_is_named(names: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("zoo.data.sources.hub.find_spec", lambda _name: None)
    with pytest.raises(DataError, match=r"it needs the datasets library; install zoo-backbones\[hf\]"):
        look_up("hf:owner/name", registry=names)


def test_other_splits_are_left_out_unless_there_is_nothing_else() -> None:
    assert _choose_splits({"train": 1, "extra": 2}) == ({"train": 1}, ["skipped the splits extra"])
    assert _choose_splits({"all": 1}) == ({None: 1}, [])
    with pytest.raises(DataError, match="its splits are extra, more, but none is one of train"):
        _choose_splits({"extra": 1, "more": 2})
    with pytest.raises(DataError, match="two splits for val: dev, validation"):
        _choose_splits({"dev": 1, "validation": 2})


def test_looking_up_a_name_imports_neither_the_library_nor_torch() -> None:
    code = (
        "import sys, zoo.data.source\nfrom zoo.registry.registry import Registry\n"
        "zoo.data.source.look_up('hf:owner/name', registry=Registry([]))\n"
        "sys.exit(bool({'datasets', 'torch', 'pandas', 'pyarrow'} & sys.modules.keys()))"
    )
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    assert subprocess.run([sys.executable, "-c", code], env=env, check=False).returncode == 0


def test_the_split_the_group_and_the_weight_of_a_single_split_are_columns(tmp_path: Path, list_: Any) -> None:
    columns = {"label": ["a", "b"], "split": ["train", "test"], "group": ["p", "q"], "sample_weight": [0.5, 1.0]}
    listing = list_(f"hf:{make_with(tmp_path / 'pets', {'train': columns})}")
    assert [(file.split, file.class_name, file.group, file.loss_weight) for file in listing.files] == [
        ("train", "a", "p", 0.5),
        ("test", "b", "q", 1),
    ]
    assert listing.notes == (
        "columns of the table: image 'image', label 'label', split 'split', group 'group', weight 'sample_weight'",
    )


def test_columns_of_other_names_may_be_chosen(tmp_path: Path, list_: Any) -> None:
    columns = {"label": ["a", "b"], "fold": ["train", "val"], "patient": ["p", "q"], "w": [2.0, 1.0]}
    folder = make_with(tmp_path / "pets", {"train": columns})
    listing = list_(f"hf:{folder}", columns="split=fold,group=patient,weight=w")
    assert {(file.split, file.group, file.loss_weight) for file in listing.files} == {
        ("train", "p", 2),
        ("val", "q", 1),
    }


def test_a_column_that_contradicts_the_splits_of_the_data_set_is_an_error(tmp_path: Path, list_: Any) -> None:
    parts = {
        "train": {"label": ["a", "b"], "split": ["train", "test"]},
        "test": {"label": ["a", "b"], "split": ["test", "test"]},
    }
    with pytest.raises(DataError, match="row 1 is in test according to its column, but in train according to its file"):
        list_(f"hf:{make_with(tmp_path / 'pets', parts)}")
