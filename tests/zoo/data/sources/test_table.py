"""Tables that list images."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import parquet

from zoo.data.listing import Listing
from zoo.data.sources.table import list_table
from zoo.errors import DataError
from zoo.registry.data_options import DataOptions

POKEMON = [("bulbasaur/1.png", "bulbasaur", "train"), ("mew/2.png", "mew", "val"), ("mew/3.png", "mew", "train")]


def list_text(folder: Path, text: str, name: str = "table.csv", **options: Any) -> Listing:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return list_table(path, DataOptions.parse(**options))


def rows_of(listing: Listing) -> list[tuple[str, str, str]]:
    return sorted((file.name, file.class_name, file.split) for file in listing.files)


def write_csv(path: Path) -> None:
    path.write_text("path,label,split\n" + "".join(f"{','.join(row)}\n" for row in POKEMON), encoding="utf-8")


def write_semicolons(path: Path) -> None:
    path.write_text(
        "\ufeffFilename;Class;Subset\r\n" + "".join(f"{';'.join(row)}\r\n" for row in POKEMON), encoding="utf-8"
    )


def write_tsv(path: Path) -> None:
    path.write_text("file_name\ttarget\tsplit\n" + "".join("\t".join(row) + "\n" for row in POKEMON), encoding="utf-8")


def write_json(path: Path) -> None:
    records = ({"image": name, "label": label, "split": split, "hp": 1} for name, label, split in POKEMON)
    path.write_text("\n".join(map(json.dumps, records)), encoding="utf-8")


def write_parquet(path: Path) -> None:
    columns = zip(*POKEMON, strict=True)
    parquet.write_table(pa.table(dict(zip(("filepath", "label", "split"), map(list, columns), strict=True))), path)


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("a.csv", write_csv),
        ("a.CSV", write_csv),
        ("a.csv", write_semicolons),
        ("a.tsv", write_tsv),
        ("a.jsonl", write_json),
        ("a.parquet", write_parquet),
    ],
)
def test_every_format_lists_the_same_images(tmp_path: Path, name: str, write: Any) -> None:
    write(tmp_path / name)
    listing = list_table(tmp_path / name, DataOptions())
    assert rows_of(listing) == sorted(POKEMON)
    assert listing.has_splits
    assert listing.classes_of == {"train": ("bulbasaur", "mew"), "val": ("mew",)}
    assert [file.path for file in listing.files] == [tmp_path / file.name for file in listing.files]


def test_a_table_of_two_columns_needs_no_names(tmp_path: Path) -> None:
    listing = list_text(tmp_path, "bulbasaur/1.png,0\nmew/2.png,1\n")
    assert rows_of(listing) == [("bulbasaur/1.png", "0", "train"), ("mew/2.png", "1", "train")]
    assert not listing.has_splits
    assert listing.notes == ("columns of the table: image 1, label 2",)


def test_columns_can_be_named_or_numbered(tmp_path: Path) -> None:
    named = list_text(tmp_path, "id,breed,class\na.png,pug,dog\n", columns="image=id,label=breed")
    numbered = list_text(tmp_path, "pug,a.png,dog\n", columns="image=2,label=1")
    assert rows_of(named) == rows_of(numbered) == [("a.png", "pug", "train")]


def test_numbers_of_columns_are_not_mistaken_for_labels_in_the_first_row(tmp_path: Path) -> None:
    listing = list_text(tmp_path, "a.png,1\nb.png,2\n", columns="image=1,label=2")
    assert rows_of(listing) == [("a.png", "1", "train"), ("b.png", "2", "train")]


def test_columns_that_are_named_by_numbers_are_names(tmp_path: Path) -> None:
    listing = list_text(tmp_path, "2,1\na.png,pug\n", columns="image=2,label=1")
    assert rows_of(listing) == [("a.png", "pug", "train")]


def test_only_zeros_and_ones_are_columns_of_classes(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no column for label"):
        list_text(tmp_path, "path,ant,bee\na.png,01,\n")


def test_the_columns_in_use_are_reported(tmp_path: Path) -> None:
    listing = list_text(tmp_path, "Path,Class,group,sample_weight\na.png,cat,x,0.5\n")
    expected = "columns of the table: image 'Path', label 'Class', group 'group', weight 'sample_weight'"
    assert listing.notes == (expected,)
    assert (listing.files[0].group, listing.files[0].loss_weight) == ("x", 0.5)


def test_a_column_named_weight_is_used_only_if_it_is_named(tmp_path: Path) -> None:
    text = "path,label,weight\na.png,cat,3.5\n"
    assert list_text(tmp_path, text).files[0].loss_weight == 1
    assert list_text(tmp_path, text, columns="weight=weight").files[0].loss_weight == 3.5
    assert list_text(tmp_path, "7,a.png,cat\n", columns="image=2,label=3,weight=1").files[0].loss_weight == 7


@pytest.mark.parametrize("name", ["weight", " Weights"])
def test_a_column_that_may_contain_loss_weights_is_reported(tmp_path: Path, name: str) -> None:
    _, note = list_text(tmp_path, f"path,label,{name}\na.png,cat,3.5\n").notes
    assert note.startswith(f"the column {name!r} is not used; to multiply the loss of each image by it, set `columns`")
    assert len(list_text(tmp_path, f"path,label,{name}\na.png,cat,3.5\n", columns="weight=" + name.strip()).notes) == 1
    assert len(list_text(tmp_path, "path,weight,other\na.png,1,0\nb.png,0,1\n").notes) == 1  # it is a class


@pytest.mark.parametrize("weight", ["1", "2", "3"])
def test_a_weight_that_equals_the_number_of_a_column_is_not_its_name(tmp_path: Path, weight: str) -> None:
    listing = list_text(tmp_path, f"{weight},a.png,cat\n", columns="image=2,label=3,weight=1")
    assert [(file.name, file.loss_weight) for file in listing.files] == [("a.png", float(weight))]


def test_the_weight_is_not_a_class(tmp_path: Path) -> None:
    listing = list_text(tmp_path, "filename,ant,bee,Sample_Weight\na.jpg,1,0,0\nb.jpg,0,1,1\n")
    assert [(file.class_name, file.loss_weight) for file in listing.files] == [("ant", 0), ("bee", 1)]


@pytest.mark.parametrize(
    ("weight", "message"),
    [
        ("", "line 3 has no weight"),
        *(
            (weight, f"line 3 has the weight '{weight}'; it must be 0, or a number from 1e-09 to 1e\\+09")
            for weight in ("heavy", "-1", "-0.5", "nan", "inf", "1e-10", "1e10", "0,5", "1e999")
        ),
    ],
)
def test_weights_that_are_not_finite_or_negative_or_missing_are_refused(
    tmp_path: Path, weight: str, message: str
) -> None:
    with pytest.raises(DataError, match=message):
        list_text(tmp_path, f"path\tlabel\tsample_weight\na.png\tcat\t1\nb.png\tdog\t{weight}\n", "table.tsv")


def test_classes_can_be_columns(tmp_path: Path) -> None:
    listing = list_text(tmp_path, "filename, ant, bee\na.jpg, 1, 0\nb.jpg, 0, 1\nc.jpg, 0, 0\n", "_classes.csv")
    assert rows_of(listing) == [("a.jpg", "ant", "train"), ("b.jpg", "bee", "train")]
    assert [(item.path.name, item.reason) for item in listing.left_out] == [("c.jpg", "no label")]


def test_splits_may_be_part_of_the_paths(tmp_path: Path) -> None:
    listing = list_text(tmp_path, "path,label\ntrain/a.png,cat\ntrain/b.png,dog\nTest/c.png,dog\n")
    assert listing.has_splits
    assert listing.classes_of == {"train": ("cat", "dog"), "test": ("dog",)}


@pytest.mark.parametrize(
    "pattern", ["images/{}/{}", "/home/dev/data/{}/{}", "C:\\photos\\{}\\{}", "./{}/{}", "{1}/{0}/x"]
)
def test_the_splits_may_be_in_any_folder_of_the_paths(tmp_path: Path, pattern: str) -> None:
    rows = [("train", "cat"), ("Training", "dog"), ("test_set", "cat"), ("val", "dog")]
    text = "".join(f"{pattern.format(split, label)}/{split}.png,{label}\n" for split, label in rows)
    listing = list_text(tmp_path, f"path,label\n{text}")
    assert {Path(file.name).stem: file.split for file in listing.files} == {
        "train": "train",
        "Training": "train",
        "test_set": "test",
        "val": "val",
    }


def test_a_folder_with_the_name_of_its_class_is_not_a_split(tmp_path: Path) -> None:
    listing = list_text(tmp_path, "path,label\ntrain/a.png,train\nbus/b.png,bus\n")
    assert not listing.has_splits


@pytest.mark.parametrize("folder", ["test", "home/dev", ""])
def test_a_folder_that_all_images_share_does_not_divide_them(tmp_path: Path, folder: str) -> None:
    listing = list_text(tmp_path, f"path,label\n{folder}/a.png,cat\n{folder}/b.png,dog\n")
    assert (listing.has_splits, listing.splits) == (False, ("train",))


@pytest.mark.parametrize("column", ["fold", "phase"])
def test_columns_without_splits_or_with_a_single_one_are_ignored(tmp_path: Path, column: str) -> None:
    listing = list_text(tmp_path, f"path,label,{column},note\na.png,cat,train,test\nb.png,dog,Training,x\n")
    assert not listing.has_splits


def test_a_column_of_splits_with_another_name_can_be_chosen(tmp_path: Path) -> None:
    listing = list_text(tmp_path, "path,label,fold\na.png,cat,train\nb.png,cat,test\n", columns="split=fold")
    assert rows_of(listing) == [("a.png", "cat", "train"), ("b.png", "cat", "test")]


def test_records_may_have_more_keys_than_the_first_one(tmp_path: Path) -> None:
    rows = ['{"path": "a.png", "label": "cat", "split": "train"}', '{"split": "test", "path": "b.png", "label": "cat"}']
    both = list_text(tmp_path, "\ufeff" + "\n".join(rows), "t.jsonl")
    assert rows_of(both) == [("a.png", "cat", "train"), ("b.png", "cat", "test")]
    with pytest.raises(DataError, match="line 1 has the unknown split ''"):
        list_text(tmp_path, "\n".join(['{"path": "c.png", "label": "dog"}', *rows]), "t.jsonl")


@pytest.mark.parametrize("again", ["./a.png", "x/../a.png", "{}/a.png", "./x/.././a.png"])
def test_the_same_file_under_two_paths_is_one_image(tmp_path: Path, again: str) -> None:
    again = again.format(tmp_path)
    assert len(list_text(tmp_path, f"path,label\na.png,cat\n{again},cat\n").files) == 1
    with pytest.raises(DataError, match="line 3 lists"):
        list_text(tmp_path, f"path,label,split\na.png,cat,train\n{again},cat,test\n")


def test_rows_without_a_label_repeated_rows_and_other_files_are_left_out(tmp_path: Path) -> None:
    listing = list_text(tmp_path, "path,label\na.png,cat\na.png,cat\nb.png,\nc.txt,cat\n")
    assert rows_of(listing) == [("a.png", "cat", "train")]
    assert [item.reason.partition(" (")[0] for item in listing.left_out] == [
        "line 3 repeats an earlier line",
        "no label",
        "unsupported file type .txt",
    ]
    assert [item.split for item in listing.left_out] == ["train", None, None]


def test_backslashes_of_windows_separate_folders(tmp_path: Path) -> None:
    (tmp_path / "cats").mkdir()
    (tmp_path / "cats" / "a.png").touch()
    (file,) = list_text(tmp_path, "path,label\ncats\\a.png,cat\n").files
    assert (file.path, file.name) == (tmp_path / "cats" / "a.png", "cats/a.png")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "it is empty"),
        ("path,label\n", "no row contains an image and its label"),
        ("path,label\na.png,\n", "no row contains an image and its label; '.*a.png': no label"),
        ("a,b\nc,d\n", "no column for image and label among 'a', 'b'"),
        ("path,x\na.png,b\n", "no column for label"),
        ("a.png,cat,train\nb.png,dog,val\n", "no column for image and label"),
        ("path,filename,label\na,b,c\n", "both 'path' and 'filename' may be the image column"),
        ("path,label,class\na,b,c\n", "both 'label' and 'class' may be the label column"),
        ("path,label\na.png,cat,x\n", "line 2 has 3 cells instead of 2"),
        ("path,label\na.png\n", "line 2 has 1 cells instead of 2"),
        ("path,label\n,cat\n", "line 2 has no path"),
        ("path,label\nhttps://x.org/a.png,cat\n", "line 2 contains the URL"),
        ("path,label\na.png,cat\na.png,dog\n", "line 3 lists 'a.png' as 'dog' in train, but an earlier line"),
        ("path,label,split\na.png,cat,train\na.png,cat,val\n", "line 3 lists 'a.png' as 'cat' in val"),
        ("path,label,sample_weight\na,b,1\na,b,2\n".replace("a,", "a.png,"), "line 3 gives 'a.png' the weight 2, but"),
        ("path,label,split\na.png,cat,fold1\n", "line 2 has the unknown split 'fold1'"),
        ("path,label\na.png,c\x07t\n", "line 2 has the unprintable label"),
        ("path,label\na\x00.png,cat\n", "line 2 has a NUL in the path"),
        ("filename,ant,bee\na.jpg,1,0\nb.jpg,1,1\n", "line 3 has 2 classes"),
        ("filename,ant,bee\na.jpg,1,0\nb.jpg,2,0\n", "line 3 has '2' in a class column"),
        ("path,label\ntrain/a.png,cat\ntest/a.png,cat\nextra/b.png,cat\n", "some paths contain the name of a split"),
        ("path,label\nx/train/a.png,cat\nx/test/b.png,cat\nx/c.png,cat\n", "some paths contain the name of a split"),
        ("path,label\nx/train/a.png,cat\nx/y/test/b.png,cat\n", "some paths contain the name of a split"),
        ("path,label,fold\na.png,cat,train\nb.png,cat,test\n", "is the column 'fold' the split .* add split=fold to"),
        ("a,b,path,label\nTrain,1,a.png,cat\nDev,1,b.png,cat\n", "is the column 'a' the split of each image"),
        ('path,label\n"a.png,cat\n', "line 2: unexpected end of data"),
    ],
)
def test_tables_that_are_unclear_or_damaged_are_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        list_text(tmp_path, text)
    assert str(tmp_path / "table.csv") in str(caught.value)


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("a.csv", "path,label\ncaf\u00e9.png,cat\n".encode("latin-1"), "not in UTF-8"),
        ("a.csv", b"path,label\n" + b"x" * 200_000 + b",cat\n", "field larger than field limit"),
        ("a.jsonl", b'{"path": "a.png"', "line 1 is not JSON"),
        ("a.jsonl", b"[" * 100_000, "line 1 is not JSON"),
        ("a.jsonl", b'["a.png", "cat"]', "line 1 is not a JSON object"),
        ("a.jsonl", b'{"path": "a.png", "label": {"x": 1}}', "'label' is neither text nor a number"),
        ("a.parquet", b"PAR1 something else", "not a Parquet file"),
    ],
)
def test_files_in_another_format_are_refused(tmp_path: Path, name: str, data: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(DataError, match=message):
        list_table(tmp_path / name, DataOptions())


@pytest.mark.parametrize("name", ["/etc/a.png", "../a.png", "x/../../a.png", "C:\\a.png", "..\\a.png"])
def test_only_a_table_that_the_user_named_may_point_outside_its_folder(tmp_path: Path, name: str) -> None:
    (tmp_path / "t.csv").write_text(f"path,label\n{name},cat\n", encoding="utf-8")
    assert len(list_table(tmp_path / "t.csv", DataOptions()).files) == 1
    with pytest.raises(DataError, match="outside the folder of the table"):
        list_table(tmp_path / "t.csv", DataOptions(), is_own=False)
