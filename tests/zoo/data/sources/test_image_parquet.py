"""Parquet files whose rows contain images, in the forms in which Hugging Face stores them."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from zoo.data.dataset import open_images
from zoo.data.listing import Listing
from zoo.data.source import list_images
from zoo.errors import DataError
from zoo.registry.data_options import DataOptions

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")

IMAGE = {"_type": "Image"}
CLASSES = {"_type": "ClassLabel", "names": ["zebra", "ant"]}


def draw(number: int, kind: str = "JPEG") -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (5, 4), (number * 20, 255 - number * 20, number)).save(file, kind)
    return file.getvalue()


def write(path: Path, labels: Sequence[Any], features: Any = None, start: int = 0, **more: list[Any]) -> Path:
    """Write a row per label; by default, the metadata declares an image and a class."""
    images = [{"bytes": draw(start + number), "path": f"{number}.jpg"} for number in range(len(labels))]
    table = pa.table({"image": images, "label": labels, **more})
    features = {"image": IMAGE, "label": CLASSES} if features is None else features
    metadata = {"huggingface": json.dumps({"info": {"features": features}})} if features else None
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table.replace_schema_metadata(metadata), path)
    return path


@pytest.fixture
def list_(cache: Path, names: Any, progress: Any) -> Any:
    assert cache
    return lambda path, **options: list_images(path, DataOptions.parse(**options), registry=names, progress=progress)


def count(listing: Listing) -> dict[tuple[str, str], int]:
    found: dict[tuple[str, str], int] = {}
    for file in listing.files:
        key = (file.split, file.class_name)
        found[key] = found.get(key, 0) + 1
    return found


def test_a_folder_of_the_hub_is_read_with_its_splits_and_class_names(tmp_path: Path, list_: Any) -> None:
    write(tmp_path / "data/train-00000-of-00002.parquet", [0, 1, 1])
    write(tmp_path / "data/train-00001-of-00002.parquet", [0], start=3)
    write(tmp_path / "data/validation-00000-of-00001.parquet", [1], start=4)
    write(tmp_path / "data/test-00000-of-00001.parquet", [0, 1], start=5)
    (tmp_path / "README.md").write_text("a card")
    listing = list_(tmp_path)
    assert count(listing) == {
        ("train", "zebra"): 2, ("train", "ant"): 2, ("val", "ant"): 1, ("test", "zebra"): 1, ("test", "ant"): 1,
    }  # fmt: skip
    assert listing.notes == ("columns of the table: image 'image', label 'label'",)
    assert listing.left_out == ()


def test_the_bytes_of_the_images_are_kept_as_they_are(tmp_path: Path, list_: Any) -> None:
    listing = list_(write(tmp_path / "a.parquet", [0, 1]))
    assert sorted(file.path.read_bytes() for file in listing.files) == sorted([draw(0), draw(1)])
    assert {file.path.suffix for file in listing.files} == {".jpg"}
    assert not listing.has_splits


def test_images_are_written_once_and_again_after_a_change(tmp_path: Path, list_: Any, progress: Any) -> None:
    path = write(tmp_path / "a.parquet", [0, 1])
    first = list_(path)
    assert progress.tracked.pop("reading images") == (2, 2)
    assert list_(path) == first
    assert progress.tracked == {}
    write(path, [1, 1])
    assert count(list_(path)) == {("train", "ant"): 2}


@pytest.mark.parametrize("layout", ["train-0.parquet test-0.parquet", "train/0000.parquet test/0000.parquet"])
def test_other_layouts_of_the_hub_are_read(tmp_path: Path, list_: Any, layout: str) -> None:
    for number, name in enumerate(layout.split()):
        write(tmp_path / name, [0, 1], start=number * 2)
    assert list_(tmp_path).splits == ("train", "test")


@pytest.mark.parametrize(
    "names", ["insects-train insects-test", "cifar_train cifar_test", "insects-training-00000-of-00001 insects.test"]
)
def test_the_split_may_be_anywhere_in_the_name_of_a_file(tmp_path: Path, list_: Any, names: str) -> None:
    for number, name in enumerate(names.split()):
        write(tmp_path / f"{name}.parquet", [0, 1], start=number * 2)
    listing = list_(tmp_path)
    assert listing.splits == ("train", "test")
    assert {file.path.read_bytes() for file in listing.files if file.split == "test"} == {draw(2), draw(3)}


@pytest.mark.parametrize("folders", ["ant bee", "train/ant train/bee", "train val"])
@pytest.mark.parametrize("name", ["old.parquet", "data/train-0.parquet", "train/0000.parquet"])
def test_parquet_files_beside_folders_of_images_are_an_error(
    tmp_path: Path, list_: Any, folders: str, name: str
) -> None:
    write(tmp_path / name, [0, 1])
    for folder in folders.split():
        (tmp_path / folder).mkdir(parents=True, exist_ok=True)
        (tmp_path / folder / "1.jpg").write_bytes(draw(5))
    with pytest.raises(DataError, match="are the images in its Parquet files, or in its folders, such as"):
        list_(tmp_path)


def test_other_images_beside_parquet_files_are_left_out(tmp_path: Path, list_: Any) -> None:
    write(tmp_path / "data/train-0.parquet", [0, 1])
    for name in ("logo.jpg", "assets/1.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(draw(5))
    listing = list_(tmp_path)
    assert len(listing.files) == 2
    assert {(item.path, item.reason) for item in listing.left_out} == {
        (tmp_path / "logo.jpg", "not in a Parquet file"),
        (tmp_path / "assets/1.jpg", "not in a Parquet file"),
    }


def test_files_of_no_split_are_left_out(tmp_path: Path, list_: Any) -> None:
    write(tmp_path / "data/train-00000-of-00001.parquet", [0, 1])
    extra = write(tmp_path / "data/unsupervised-00000-of-00001.parquet", [0, 1], start=2)
    listing = list_(tmp_path)
    assert count(listing) == {("train", "zebra"): 1, ("train", "ant"): 1}
    assert [(item.path, item.reason) for item in listing.left_out] == [(extra, "its name contains no split")]


def test_images_without_a_label_or_of_an_unsupported_type_are_left_out(tmp_path: Path, list_: Any) -> None:
    path = write(tmp_path / "a.parquet", [0, -1, None, 1])
    table = pq.read_table(path).to_pylist()
    table[3]["image"]["bytes"] = draw(3, "PPM")
    pq.write_table(pa.Table.from_pylist(table, schema=pq.read_schema(path)), path)
    listing = list_(path)
    assert count(listing) == {("train", "zebra"): 1}
    reasons = [item.reason for item in listing.left_out]
    assert reasons[:2] == ["no label"] * 2
    assert reasons[2].startswith("unsupported file type .unknown")


def test_text_is_the_name_of_a_class_and_columns_are_found_without_metadata(tmp_path: Path, list_: Any) -> None:
    assert count(list_(write(tmp_path / "a.parquet", ["bee", "ant"], {}))) == {("train", "ant"): 1, ("train", "bee"): 1}
    assert count(list_(write(tmp_path / "b.parquet", [7, 8], {}))) == {("train", "7"): 1, ("train", "8"): 1}
    plain = pa.table({"image": [draw(0), draw(1)], "label": ["bee", "ant"]})
    pq.write_table(plain, tmp_path / "c.parquet")
    assert count(list_(tmp_path / "c.parquet")) == {("train", "ant"): 1, ("train", "bee"): 1}


def test_several_columns_of_labels_are_an_error_until_one_is_chosen(tmp_path: Path, list_: Any) -> None:
    features = {"image": IMAGE, "label": CLASSES, "coarse": {"_type": "ClassLabel", "names": ["animal"]}}
    path = write(tmp_path / "a.parquet", [0, 1], features, coarse=[0, 0])
    with pytest.raises(DataError, match="'label', 'coarse' may each be the label column; choose one with `columns`"):
        list_(path)
    assert count(list_(path, columns="label=coarse")) == {("train", "animal"): 2}


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ("label=breed", "no column 'breed'; the columns are 'image', 'label'"),
        ("weight=w", "no column 'w'; the columns are 'image', 'label'"),
    ],
)
def test_unusable_columns_are_an_error(tmp_path: Path, list_: Any, columns: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        list_(write(tmp_path / "a.parquet", [0, 1]), columns=columns)


def test_a_column_that_is_not_found_is_an_error(tmp_path: Path, list_: Any) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"image": [{"bytes": draw(0)}], "breed": ["x"]}), path)
    with pytest.raises(DataError, match="no column for label among 'image', 'breed'"):
        list_(path)


def test_a_label_without_a_name_is_an_error(tmp_path: Path, list_: Any) -> None:
    with pytest.raises(DataError, match="row 1 has the label '2', which does not match any class"):
        list_(write(tmp_path / "a.parquet", [0, 2]))


def test_each_file_has_its_own_list_of_class_names(tmp_path: Path, list_: Any) -> None:
    write(tmp_path / "train-0.parquet", [0, 1, 1])
    swapped = {"image": IMAGE, "label": {"_type": "ClassLabel", "names": ["ant", "zebra"]}}
    write(tmp_path / "test-0.parquet", [0, 1, 1], swapped, start=3)
    listing = list_(tmp_path)
    assert count(listing) == {
        ("train", "zebra"): 1, ("train", "ant"): 2, ("test", "ant"): 1, ("test", "zebra"): 2,
    }  # fmt: skip
    assert {file.path.read_bytes() for file in listing.files if file.class_name == "zebra"} == {
        draw(0),
        draw(4),
        draw(5),
    }


@pytest.mark.parametrize(
    ("features", "message"),
    [
        ({"image": IMAGE}, "contains a list of class names, but val-0"),
        ({"image": IMAGE, "other": CLASSES}, "rename the columns so that all files have the same"),
    ],
)
def test_files_with_different_columns_are_an_error(tmp_path: Path, list_: Any, features: Any, message: str) -> None:
    write(tmp_path / "train-0.parquet", [0, 1])
    write(tmp_path / "val-0.parquet", [0, 1], features, start=2, other=[0, 1])
    with pytest.raises(DataError, match=message):
        list_(tmp_path)


def test_a_file_without_labels_is_an_error_that_names_it(tmp_path: Path, list_: Any) -> None:
    write(tmp_path / "train-0.parquet", [0, 1])
    pq.write_table(pa.table({"image": [{"bytes": draw(2)}]}), tmp_path / "val-0.parquet")
    with pytest.raises(DataError, match=r"val-0\.parquet: no column for label"):
        list_(tmp_path)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["ant", "bee", "ant"], "names twice: 'ant'"),
        (["caf\u00e9", "cafe\u0301"], "twice"),
        (["", "a"], "an empty name"),
    ],
)
def test_class_names_that_are_not_distinct_are_an_error(
    tmp_path: Path, list_: Any, names: list[str], message: str
) -> None:
    features = {"image": IMAGE, "label": {"_type": "ClassLabel", "names": names}}
    with pytest.raises(DataError, match=message):
        list_(write(tmp_path / "a.parquet", [0, 1], features))


def test_the_split_and_the_group_may_be_columns(tmp_path: Path, list_: Any) -> None:
    path = write(tmp_path / "a.parquet", [0, 1, 0], split=["train", "test", "train"], group=["p1", "p2", None])
    listing = list_(path)
    assert sorted((file.split, file.class_name, file.group) for file in listing.files if file.group) == [
        ("test", "ant", "p2"), ("train", "zebra", "p1"),
    ]  # fmt: skip
    assert count(listing) == {("train", "zebra"): 2, ("test", "ant"): 1}
    assert listing.has_splits
    assert listing.notes == ("columns of the table: image 'image', label 'label', split 'split', group 'group'",)


def test_columns_of_other_names_may_contain_the_split_and_the_group(tmp_path: Path, list_: Any) -> None:
    path = write(tmp_path / "a.parquet", [0, 1], fold=["train", "val"], patient=[0, 8])
    assert not list_(path).has_splits
    listing = list_(path, columns="split=fold,group=patient")
    assert {(file.split, file.group) for file in listing.files} == {("train", "0"), ("val", "8")}


@pytest.mark.parametrize(
    ("splits", "message"),
    [
        (["train", "fold3"], "row 1 has the unknown split 'fold3'; splits are train"),
        (["train", None], "row 1 has the unknown split 'None'"),
        (["train", "test"], "row 1 is in test according to its column, but in train according to its file"),
    ],
)
def test_a_split_that_is_unknown_or_contradicts_the_file_is_an_error(
    tmp_path: Path, list_: Any, splits: list[str | None], message: str
) -> None:
    write(tmp_path / "train-0.parquet", [0, 1], split=splits)
    write(tmp_path / "test-0.parquet", [0], split=["test"])
    with pytest.raises(DataError, match=message):
        list_(tmp_path)


def test_a_column_divides_a_data_set_that_consists_of_train_alone(tmp_path: Path, list_: Any) -> None:
    write(tmp_path / "data/train-0.parquet", [0, 1, 0], split=["train", "test", "val"])
    assert count(list_(tmp_path)) == {("train", "zebra"): 1, ("test", "ant"): 1, ("val", "zebra"): 1}


def test_a_column_does_not_divide_a_data_set_that_consists_of_test_alone(tmp_path: Path, list_: Any) -> None:
    write(tmp_path / "data/test-0.parquet", [0, 1], split=["train", "test"])
    with pytest.raises(DataError, match="row 0 is in train according to its column, but in test according to its file"):
        list_(tmp_path)


@pytest.mark.parametrize(("name", "columns"), [("sample_weight", None), ("weight", "weight=weight")])
def test_a_column_may_contain_loss_weights(tmp_path: Path, list_: Any, name: str, columns: str | None) -> None:
    listing = list_(write(tmp_path / "a.parquet", [0, 1], **{name: [0.25, 2]}), columns=columns)
    assert {(file.class_name, file.loss_weight) for file in listing.files} == {("zebra", 0.25), ("ant", 2)}
    assert listing.notes == (f"columns of the table: image 'image', label 'label', weight '{name}'",)


@pytest.mark.parametrize(("weight", "message"), [(None, "row 1 has no weight"), (-1.0, "row 1 has the weight '-1.0'")])
def test_an_unusable_loss_weight_is_an_error(tmp_path: Path, list_: Any, weight: float | None, message: str) -> None:
    with pytest.raises(DataError, match=message):
        list_(write(tmp_path / "a.parquet", [0, 1], sample_weight=[1.0, weight]))


def test_a_column_that_may_contain_loss_weights_gets_a_note(tmp_path: Path, list_: Any) -> None:
    listing = list_(write(tmp_path / "a.parquet", [0, 1], weight=[1.0, 2.0]))
    assert listing.notes[-1].startswith("the column 'weight' is not used; to multiply the loss of each image by it")
    assert {file.loss_weight for file in listing.files} == {1}


def test_a_row_that_names_a_file_of_this_machine_is_an_error(tmp_path: Path, list_: Any) -> None:
    secret = tmp_path / "secret.jpg"
    secret.write_bytes(draw(0))
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"image": [{"bytes": None, "path": str(secret)}], "label": ["x"]}), path)
    with pytest.raises(DataError, match=r"(row 0 contains no image bytes|no column for image)"):
        list_(path)
    schema = pa.schema([("image", pa.struct([("bytes", pa.binary()), ("path", pa.string())])), ("label", pa.string())])
    row = {"image": {"bytes": None, "path": str(secret)}, "label": "x"}
    pq.write_table(pa.Table.from_pylist([row], schema=schema), path)
    with pytest.raises(DataError, match="row 0 contains no image bytes"):
        list_(path)


def test_damaged_metadata_and_pages_are_errors(tmp_path: Path, list_: Any) -> None:
    path = write(tmp_path / "a.parquet", [0, 1])
    pq.write_table(pq.read_table(path).replace_schema_metadata({"huggingface": "[1"}), path)
    with pytest.raises(DataError, match="metadata under the key 'huggingface' is damaged"):
        list_(path)
    write(path, [0, 1])
    data = bytearray(path.read_bytes())
    data[10:200] = bytes(190)
    path.write_bytes(data)
    with pytest.raises(DataError, match="cannot use"):
        list_(path)


def test_a_table_of_paths_is_still_read_as_a_table(tmp_path: Path, list_: Any) -> None:
    pq.write_table(pa.table({"path": ["a.jpg", "b.jpg"], "label": ["x", "y"]}), tmp_path / "a.parquet")
    assert [file.path for file in list_(tmp_path / "a.parquet").files] == [tmp_path / "a.jpg", tmp_path / "b.jpg"]


def test_images_of_parquet_can_be_opened(tmp_path: Path, cache: Path, names: Any, progress: Any) -> None:
    assert cache
    write(tmp_path / "data/train-00000-of-00001.parquet", [0, 1] * 3)
    images = open_images(tmp_path, DataOptions.parse(), registry=names, progress=progress)
    assert images.classes == ("ant", "zebra")
    assert len(images.train) + len(images.val) == 6
