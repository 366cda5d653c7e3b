"""Python objects as data sources."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import TensorDataset

from zoo.data.decode import decode_image
from zoo.data.listing import Listing
from zoo.data.sources.objects import describe_object, list_object
from zoo.errors import CacheError, DataError
from zoo.registry.data_options import DataOptions

PIXELS = np.random.default_rng(0).integers(0, 256, (6, 8, 10, 3), dtype=np.uint8)


class Images:
    """A map-style data set with the images of `PIXELS` in a chosen form."""

    classes = ("ant", "bee")

    def __init__(self, form: Any = Image.fromarray) -> None:
        self._form = form

    def __len__(self) -> int:
        return len(PIXELS)

    def __getitem__(self, index: int) -> tuple[Any, int]:
        return self._form(PIXELS[index]), index % 2


class Frame:
    """What zoo uses of a pandas DataFrame."""

    def __init__(self, **columns: list[Any]) -> None:
        self.columns = list(columns)
        self._rows = list(zip(*columns.values(), strict=True))

    def itertuples(self, *, index: bool, name: None) -> Any:
        assert not index
        assert name is None
        return iter(self._rows)

    def __len__(self) -> int:
        return len(self._rows)


@pytest.fixture
def list_(cache: Path, progress: Any) -> Any:
    assert cache
    return lambda value, **options: list_object(value, DataOptions.parse(**options), progress)


def rows_of(listing: Listing) -> list[tuple[str, str, str]]:
    return [(file.path.as_posix(), file.class_name, file.split) for file in listing.files]


def test_pairs_of_paths_and_labels(list_: Any) -> None:
    listing = list_([("a/1.jpg", "ant"), (Path("/b/2.png"), 7)])
    assert rows_of(listing) == [("/b/2.png", "7", "train"), ("a/1.jpg", "ant", "train")]
    assert not listing.has_splits


def test_labels_may_be_numbers_of_numpy_and_torch_or_missing(list_: Any) -> None:
    pairs = [("1.jpg", np.int64(3)), ("2.jpg", torch.tensor(3)), ("3.jpg", None), ("4.jpg", np.float64("nan"))]
    listing = list_(pairs)
    assert listing.classes == ("3",)
    assert [item.reason for item in listing.left_out] == ["no label", "no label"]


def test_missing_values_of_pandas_are_no_labels(list_: Any) -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"path": ["1.jpg", "2.jpg", "3.jpg"], "label": ["ant", pandas.NA, pandas.NaT]})
    assert list_(frame).classes == ("ant",)


def test_images_of_pillow_are_turned_upright_and_converted_to_rgb(list_: Any) -> None:
    def rotate(pixels: Any) -> Image.Image:
        image = Image.fromarray(pixels)
        image.getexif()[0x0112] = 6  # to be rotated clockwise
        return image

    upright = decode_image(list_(Images(rotate)).files[0].path)
    assert upright.equal(torch.from_numpy(np.rot90(PIXELS[0], -1).copy()).permute(2, 0, 1))
    cmyk = list_(Images(lambda _pixels: Image.new("CMYK", (4, 4), (0, 255, 255, 0)))).files[0]
    assert decode_image(cmyk.path)[:, 0, 0].tolist() == [255, 0, 0]


def test_a_data_frame_is_a_table(list_: Any) -> None:
    frame = Frame(path=["1.jpg", "2.jpg", "3.jpg"], breed=["pug", "husky", float("nan")], fold=["train", "val", "val"])
    listing = list_(frame, columns="label=breed,split=fold")
    assert rows_of(listing) == [("1.jpg", "pug", "train"), ("2.jpg", "husky", "val")]
    assert [item.reason for item in listing.left_out] == ["no label"]


def test_a_data_frame_may_contain_weights(list_: Any) -> None:
    frame = Frame(path=["1.jpg", "2.jpg"], label=["pug", "husky"], w=[0.25, 3])
    assert [file.loss_weight for file in list_(frame, columns="weight=w").files] == [3, 0.25]  # huskies come first
    missing = Frame(path=["1.jpg", "2.jpg"], label=["pug", "husky"], sample_weight=[1, float("nan")])
    with pytest.raises(DataError, match="line 2 has no weight"):
        list_(missing)


@pytest.mark.parametrize(
    "form",
    [
        Image.fromarray,
        np.array,
        lambda pixels: torch.from_numpy(pixels).permute(2, 0, 1),
        lambda pixels: torch.from_numpy(pixels).permute(2, 0, 1) / 255,
    ],
)
def test_the_images_of_a_data_set_are_kept_without_loss(list_: Any, form: Any) -> None:
    listing = list_(Images(form))
    assert listing.classes == ("ant", "bee")
    assert len(listing.files) == 6
    for file in listing.files:
        number = int(file.path.stem)
        assert file.class_name == ("ant", "bee")[number % 2]
        assert torch.equal(decode_image(file.path), torch.from_numpy(PIXELS[number]).permute(2, 0, 1))


def test_gray_images_are_accepted(list_: Any) -> None:
    listing = list_(Images(lambda pixels: pixels[:, :, :1]))
    assert decode_image(listing.files[0].path)[0].equal(torch.from_numpy(PIXELS[0][:, :, 0]))


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".gif", ".bmp", ".tif"])
def test_the_bytes_of_image_files_are_kept_as_they_are(list_: Any, tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"0{suffix}"
    Image.fromarray(PIXELS[0]).save(path)
    data = path.read_bytes()
    listing = list_(Images(lambda _pixels: data))
    assert all(file.path.read_bytes() == data and file.path.suffix == suffix for file in listing.files)


def test_the_same_images_are_kept_once(list_: Any, cache: Path) -> None:
    first, second = list_(Images()), list_(Images(np.array))
    assert first == second
    assert len(list((cache / "data").iterdir())) == 1


def test_a_dictionary_has_a_value_for_each_split(list_: Any) -> None:
    listing = list_({"test": [("3.jpg", "bee")], "training": Images(), "val": [("1.jpg", "ant")]})
    assert listing.classes_of == {"train": ("ant", "bee"), "val": ("ant",), "test": ("bee",)}
    assert listing.has_splits


def test_a_tensor_data_set_has_no_class_names(list_: Any) -> None:
    images = torch.from_numpy(PIXELS).permute(0, 3, 1, 2)
    assert list_(TensorDataset(images, torch.tensor([0, 1, 2] * 2))).classes == ("0", "1", "2")


class Labeled(Images):
    """Images with the labels and the class names that a test chooses."""

    def __init__(self, labels: list[Any], classes: Any) -> None:
        super().__init__()
        self._labels = labels
        self.classes = classes

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        return super().__getitem__(index)[0], self._labels[index]


def test_the_label_minus_one_means_no_label_if_the_classes_have_names(list_: Any) -> None:
    listing = list_(Labeled([0, 1, -1, torch.tensor(-1), 1, 0], ["ant", "bee"]))
    assert sorted(file.class_name for file in listing.files) == ["ant", "ant", "bee", "bee"]
    assert [item.reason for item in listing.left_out] == ["no label", "no label"]
    assert list_(Labeled([-1, 1] * 3, None)).classes == ("-1", "1")


@pytest.mark.parametrize("label", [2, -2, 0.5, "wasp"])
def test_a_label_that_has_no_name_is_an_error(list_: Any, label: Any) -> None:
    with pytest.raises(DataError, match=rf"item 5 has the label '{label}', but `classes` has only 2 names"):
        list_(Labeled([0, 1, 0, 1, 0, label], ["ant", "bee"]))


def test_a_label_may_be_a_name_or_a_number(list_: Any) -> None:
    listing = list_(Labeled(["ant", 1, "bee", 0, np.int64(1), 0], ["ant", "bee"]))
    assert [file.class_name for file in listing.files] == ["ant"] * 3 + ["bee"] * 3


def test_numbers_are_not_mistaken_for_names_that_are_numbers(list_: Any) -> None:
    listing = list_(Labeled([0, 1] * 3, ["1", "0"]))
    assert {(int(file.path.stem) % 2, file.class_name) for file in listing.files} == {(0, "1"), (1, "0")}


@pytest.mark.parametrize(
    ("classes", "message"), [(["ant", "bee", "ant"], "names twice: 'ant'"), (("", "bee"), "contains an empty name")]
)
def test_class_names_that_are_not_distinct_are_an_error(list_: Any, classes: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        list_(Labeled([0, 1] * 3, classes))


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (7, "cannot use a int as `data`"),
        ([], "no row contains an image and its label"),
        ([("a.jpg",)], "item 0 is .* not a pair of a path and a label"),
        ([("a.jpg", "x"), (1, "x")], "item 1 is .* not a pair of a path and a label"),
        ({}, "`data` is empty"),
        ({"train": [("a.jpg", "x")], "folds": [("b.jpg", "x")]}, "repeated split 'folds'"),
        ({"val": [("a.jpg", "x")], "dev": [("b.jpg", "x")]}, "repeated split 'dev'"),
        (Images(lambda _pixels: "a.jpg"), "image 0 is a str, not an image"),
        (Images(lambda _pixels: b"text"), "image 0 is of an unknown file type"),
        (Images(lambda pixels: pixels[None]), r"image 0 is a ndarray of shape \(1, 8, 10, 3\), not an image"),
        (Images(lambda pixels: pixels / 127.5 - 1), "values of type float64 from -1 to .*normalize"),
        (Images(lambda pixels: pixels.astype(np.int64)), "values of type int64"),
        (Images(lambda pixels: pixels * float("nan")), "values of type float64"),
        (TensorDataset(torch.zeros(2, 3, 4, 4)), "item 0 is a tuple, not a pair"),
        (TensorDataset(torch.zeros(2, 3, 4, 4), torch.zeros(2, 5)), "item 0 has several labels"),
        ([("a.jpg", np.array([1, 0]))], "item 0 has several labels"),
        ([("a.jpg", ["ant"])], "item 0 has the label .* of type list; labels must be text or numbers"),
        ([("a.jpg", b"ant")], "item 0 has the label .* of type bytes"),
        (Frame(path=["a.jpg"], label=[["ant", "bee"]]), "'label' is neither text nor a number"),
        (Frame(path=["a.jpg"], label=[np.array([0, 1])]), "'label' is neither text nor a number"),
        ({"train": "photos/train"}, "a dictionary of splits cannot contain the path 'photos/train'"),
        (Images(lambda _pixels: Image.new("F", (4, 4))), "image 0 cannot be written as PNG"),
    ],
)
def test_other_objects_are_refused(list_: Any, cache: Path, value: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        list_(value)
    assert not list(cache.rglob("*.png"))


def test_a_series_of_pandas_is_refused(list_: Any) -> None:
    pandas = pytest.importorskip("pandas")
    with pytest.raises(DataError, match="cannot use a Series as `data`"):
        list_(pandas.Series(["ant", "bee"], index=["a.jpg", "b.jpg"]))


@pytest.mark.parametrize("label", [np.int64(1), torch.tensor(1), 1])
def test_numbers_in_a_data_frame_are_labels(list_: Any, label: Any) -> None:
    assert list_(Frame(path=["a.jpg"], label=[label])).classes == ("1",)


def test_objects_are_described_by_type_and_size() -> None:
    assert describe_object(Images()) == "Images of 6 images"
    assert describe_object({"train": [1, 2]}) == "{train: list of 2 images}"


def test_a_class_is_refused_because_an_instance_is_needed(list_: Any) -> None:
    assert describe_object(Images) == "the class Images"
    for value in (Images, dict, {"train": Images}):
        with pytest.raises(
            DataError, match=r"is the class (Images|dict); pass an instance of it, such as (Images|dict)\("
        ):
            list_(value)


def test_a_cache_folder_that_cannot_be_written_is_an_error_that_names_it(
    list_: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(CacheError, match=r"file/cache/data cannot be written: .*; set ZOO_CACHE to a writable folder"):
        list_(Images())


def test_an_error_of_the_data_set_is_not_blamed_on_the_cache(list_: Any) -> None:
    def fail(_pixels: Any) -> Any:
        raise OSError("the server is down")

    with pytest.raises(OSError, match="the server is down"):
        list_(Images(fail))
