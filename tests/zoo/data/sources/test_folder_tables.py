"""Folders that contain a table of their labels."""

from __future__ import annotations

from pathlib import Path

import pytest

from zoo.data.sources.folder_tables import list_folder_tables
from zoo.errors import DataError
from zoo.registry.data_options import DataOptions


def write(folder: Path, **tables: str) -> Path:
    for name, text in tables.items():
        path = folder / name.replace("__", "/").replace("_csv", ".csv")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return folder


def test_metadata_of_hugging_face_names_the_labels_of_all_splits(tmp_path: Path) -> None:
    write(tmp_path, metadata_csv="file_name,label\ntrain/1.jpg,ant\ntrain/2.jpg,bee\ntest/3.jpg,ant\n")
    listing = list_folder_tables(tmp_path, DataOptions())
    assert listing
    assert listing.classes_of == {"train": ("ant", "bee"), "test": ("ant",)}


def test_each_split_may_have_a_table(tmp_path: Path) -> None:
    write(
        tmp_path,
        train___classes_csv="filename, ant, bee\n1.jpg, 1, 0\n2.jpg, 0, 1\n",
        valid___classes_csv="filename, ant, bee\n3.jpg, 0, 1\n",
    )
    listing = list_folder_tables(tmp_path, DataOptions())
    assert listing
    assert [(file.split, file.class_name, file.path.relative_to(tmp_path).as_posix()) for file in listing.files] == [
        ("train", "ant", "train/1.jpg"),
        ("train", "bee", "train/2.jpg"),
        ("val", "bee", "valid/3.jpg"),
    ]
    assert listing.has_splits


def test_the_tables_may_be_in_a_single_folder(tmp_path: Path) -> None:
    write(tmp_path, export__train__metadata_csv="file_name,label\n1.jpg,ant\n2.jpg,bee\n")
    listing = list_folder_tables(tmp_path, DataOptions())
    assert listing
    assert listing.classes == ("ant", "bee")


@pytest.mark.parametrize("text", ["file_name,text\n1.jpg,a photo of an ant\n", "", "just text\n"])
def test_captions_are_not_labels(tmp_path: Path, text: str) -> None:
    assert list_folder_tables(write(tmp_path, metadata_csv=text), DataOptions()) is None


def test_an_ambiguous_table_is_an_error(tmp_path: Path) -> None:
    write(tmp_path, metadata_csv="file_name,label,class\n1.jpg,0,ant\n")
    with pytest.raises(DataError, match="both 'label' and 'class'"):
        list_folder_tables(tmp_path, DataOptions())
    listing = list_folder_tables(tmp_path, DataOptions.parse(columns="label=class"))
    assert listing
    assert listing.classes == ("ant",)


@pytest.mark.parametrize("other", ["metadata.jsonl", "_classes.csv", "train/metadata.csv"])
def test_two_tables_of_the_same_images_are_refused(tmp_path: Path, other: str) -> None:
    write(tmp_path, metadata_csv="file_name,label\ntrain/1.jpg,ant\ntest/2.jpg,bee\n")
    text = '{"file_name": "1.jpg", "label": "bee"}' if other.endswith("jsonl") else "file_name,ant,bee\n1.jpg,0,1\n"
    (tmp_path / other).parent.mkdir(exist_ok=True)
    (tmp_path / other).write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match=f"metadata.csv' and .*{other}' are both tables of labels"):
        list_folder_tables(tmp_path, DataOptions())


def test_a_table_in_a_folder_cannot_point_outside(tmp_path: Path) -> None:
    write(tmp_path, metadata_csv="file_name,label\n../1.jpg,ant\n")
    with pytest.raises(DataError, match="outside the folder"):
        list_folder_tables(tmp_path, DataOptions())


def test_images_that_the_table_does_not_list_are_left_out_and_the_table_is_named(tmp_path: Path) -> None:
    write(tmp_path, metadata_csv="file_name,label\na/1.jpg,ant\n./b/2.jpg,bee\nb/3.jpg,\n", b__readme_csv="x")
    for name in ("a/1.jpg", "a/4.jpg", "b/2.jpg", "b/3.jpg", "c/5.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    listing = list_folder_tables(tmp_path, DataOptions())
    assert listing
    assert sorted(file.path.name for file in listing.files) == ["1.jpg", "2.jpg"]
    assert [(item.path.name, item.reason) for item in listing.left_out] == [
        ("4.jpg", "not in the table of labels"),
        ("3.jpg", "no label"),
        ("5.png", "not in the table of labels"),
    ]
    assert listing.notes[0] == f"the labels come from '{tmp_path / 'metadata.csv'}', not from the names of folders"


def test_images_beside_splits_with_tables_are_left_out(tmp_path: Path) -> None:
    write(tmp_path, train__metadata_csv="file_name,label\n1.jpg,ant\n", extra__a_csv="")
    (tmp_path / "extra" / "2.jpg").touch()
    listing = list_folder_tables(tmp_path, DataOptions())
    assert listing
    assert [item.path.name for item in listing.left_out] == ["2.jpg"]


@pytest.mark.parametrize("wrapper", ["", "export__"])
@pytest.mark.parametrize("split", ["test", "Validation", "test_set"])
def test_a_split_without_a_table_beside_one_with_a_table_is_refused(tmp_path: Path, wrapper: str, split: str) -> None:
    write(tmp_path, **{f"{wrapper}train__metadata_csv": "file_name,label\n1.jpg,ant\n", f"{wrapper}{split}__a__x": ""})
    with pytest.raises(DataError, match=rf"metadata.csv' is a table of labels, but '.*{split}' has none"):
        list_folder_tables(tmp_path, DataOptions())
