"""Tables whose columns or rows contradict each other, or may mean something else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from zoo.data.listing import Listing
from zoo.data.sources.table import list_table
from zoo.errors import DataError
from zoo.registry.data_options import DataOptions


def list_rows(folder: Path, first: str, *rows: str, name: str = "t.csv", **options: Any) -> Listing:
    path = folder / name
    path.write_text("\n".join((first, *rows)), encoding="utf-8")
    return list_table(path, DataOptions.parse(**options))


@pytest.mark.parametrize(
    ("column", "cells"),
    [
        ("usage", ("Training", "PublicTest", "PrivateTest")),
        ("phase", ("train", "", "test")),
        ("phase", ("train", "test", "unused")),
        ("phase", ("TRAIN ", "train", "Testing")),
        ("is_train", ("1", "1", "0")),
        ("isTraining", ("True", "False", "False")),
        ("test", ("0", "0", "1")),
    ],
)
def test_a_spare_column_that_may_contain_the_splits_is_refused(
    tmp_path: Path, column: str, cells: tuple[str, ...]
) -> None:
    rows = (f"{number}.png,ant,{cell}" for number, cell in enumerate(cells))
    with pytest.raises(DataError, match=f"is the column '{column}' the split of each image"):
        list_rows(tmp_path, f"path,label,{column}", *rows)


@pytest.mark.parametrize(
    ("column", "cells"),
    [
        ("is_train", ("1", "1")),  # the same for all images
        ("is_red", ("1", "0")),
        ("vehicle", ("train", "bus")),
        ("object", ("train station", "test tube", "car")),
        ("test_score", ("0", "1", "2")),
        ("caption", tuple(f"the {word} {number}" for number in range(20) for word in ("train", "test"))),
    ],
)
def test_other_spare_columns_are_ignored(tmp_path: Path, column: str, cells: tuple[str, ...]) -> None:
    rows = [f"{number}.png,ant,{cell}" for number, cell in enumerate(cells)]
    assert not list_rows(tmp_path, f"path,label,{column}", *rows).has_splits


def test_columns_of_splits_are_not_columns_of_classes(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="the columns 'train', 'val' have the names of splits, not of classes"):
        list_rows(tmp_path, "path,train,val", "1.png,1,0", "2.png,0,1")


@pytest.mark.parametrize(
    ("names", "message"), [("ant,ant", "names twice: 'ant'"), ("caf\u00e9,cafe\u0301", "names twice: 'caf\u00e9'")]
)
def test_two_columns_of_the_same_class_are_refused(tmp_path: Path, names: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        list_rows(tmp_path, f"path,{names}", "1.png,1,0", "2.png,0,1")


@pytest.mark.parametrize("index", ["", "Unnamed: 0", "__index_level_0__"])
def test_the_numbers_of_the_rows_that_pandas_writes_are_not_a_class(tmp_path: Path, index: str) -> None:
    listing = list_rows(tmp_path, f"{index},path,ant,bee", "0,1.png,0,1", "1,2.png,1,0", "2,3.png,1,0")
    assert [(file.name, file.class_name) for file in listing.files] == [
        ("2.png", "ant"),
        ("3.png", "ant"),
        ("1.png", "bee"),
    ]


def test_two_columns_of_paths_without_names_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"which column contains the labels.* '1.png' and 'mask1.png'"):
        list_rows(tmp_path, "1.png,mask1.png", "2.png,mask2.png")
    assert list_rows(tmp_path, "1.png,a.png", "2.png,b.png", columns="image=1,label=2").classes == ("a.png", "b.png")


def test_the_exact_spelling_decides_between_columns_that_differ_in_case(tmp_path: Path) -> None:
    rows = ("path,Label,label", "1.png,ant,0", "2.png,bee,1")
    assert list_rows(tmp_path, *rows, columns="label=Label").classes == ("ant", "bee")
    assert list_rows(tmp_path, *rows, columns="label=label").classes == ("0", "1")


def test_a_key_that_occurs_twice_in_a_record_is_refused(tmp_path: Path) -> None:
    row = '{"path": "1.png", "label": "ant", "label": "bee"}'
    with pytest.raises(DataError, match="line 1 is not JSON: the key 'label' occurs twice"):
        list_rows(tmp_path, row, name="t.jsonl")


@pytest.mark.parametrize("other", ["p2", ""])
def test_an_image_in_two_groups_is_refused(tmp_path: Path, other: str) -> None:
    with pytest.raises(DataError, match=f"line 3 lists '1.png' in the group '{other}', but .* in 'p1'"):
        list_rows(tmp_path, "path,label,group", "1.png,ant,p1", f"1.png,ant,{other}")


def test_a_path_through_the_parent_folder_is_the_same_image(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"line 3 lists '1.png' as 'bee'"):
        list_rows(tmp_path, "path,label", f"../{tmp_path.name}/1.png,ant", "1.png,bee")


def test_utf_16_without_a_mark_is_reported_as_such(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_bytes("path,label\n1.png,ant\n".encode("utf-16-le"))
    with pytest.raises(DataError, match=r"not in UTF-8 .*UTF-16"):
        list_table(tmp_path / "t.csv", DataOptions())


def test_a_row_that_contradicts_the_split_of_its_table_is_refused(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("path,label,split\n1.png,ant,train\n2.png,bee,test\n", encoding="utf-8")
    with pytest.raises(DataError, match="line 3 is in test according to its column, but the table is in train"):
        list_table(tmp_path / "t.csv", DataOptions(), split="train")


def test_splits_in_the_names_of_all_files_get_a_note(tmp_path: Path) -> None:
    listing = list_rows(tmp_path, "path,label", "train_1.png,ant", "test_2.png,bee")
    assert "the file names contain splits, such as 'train_1.png', 'test_2.png'" in listing.notes[-1]
    listing = list_rows(tmp_path, "path,label", "train_1.png,ant", "test_2.png,bee", "3.png,bee")
    assert "file names" not in listing.notes[-1]
