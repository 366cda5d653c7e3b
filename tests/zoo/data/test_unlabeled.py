"""The images of a prediction come from the same sources as those of a run, and need no labels."""

from __future__ import annotations

import hashlib
import io
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from torchvision import datasets

from made_archives import md5, tar
from made_shards import write_shard
from zoo.data.image_bytes import read_image
from zoo.data.listing import ImageFile, LeftOut
from zoo.data.source import list_images
from zoo.data.unlabeled import list_unlabeled
from zoo.errors import DataError, NameNotFound, OptionError
from zoo.plugin import DatasetSpec, SourceSpec
from zoo.registry.data_options import DataOptions

Rows = list[ImageFile | LeftOut]


@pytest.fixture
def list_(cache: Path, names: Any, progress: Any) -> Callable[..., Rows]:
    assert cache
    return lambda value, **options: list_unlabeled(
        value, DataOptions.parse(**options), registry=names, progress=progress
    )


def draw(number: int) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (5, 4), (number * 20, 0, number)).save(file, "PNG")
    return file.getvalue()


def contents(rows: Rows) -> list[bytes]:
    return [read_image(row) for row in rows if isinstance(row, ImageFile)]


def reasons(rows: Rows) -> list[tuple[str, str]]:
    return [(row.path.name, row.reason.partition(" (")[0]) for row in rows if isinstance(row, LeftOut)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with an image of each class and a file that is not an image."""
    for number, name in enumerate(("ant/0.png", "bee/1.png")):
        path = tmp_path / "photos" / name
        path.parent.mkdir(parents=True)
        path.write_bytes(draw(number))
    (tmp_path / "photos" / "ant" / "notes.txt").touch()
    return tmp_path / "photos"


def test_files_that_a_run_leaves_out_are_left_out_of_a_prediction_for_the_same_reason(
    folder: Path, list_: Any, names: Any, progress: Any
) -> None:
    for name in ("ant/.hidden.png", "ant/x.svg", "__MACOSX/0.png", "bee/noext"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).touch()
    labeled = list_images(folder, DataOptions.parse(), registry=names, progress=progress)
    unlabeled = list_(folder)
    left_out = {(row.path, row.reason) for row in unlabeled if isinstance(row, LeftOut)}
    assert left_out == {(item.path, item.reason) for item in labeled.left_out}
    assert {row.path for row in unlabeled if isinstance(row, ImageFile)} == {file.path for file in labeled.files}


def test_a_data_set_is_found_by_its_name_unless_a_path_has_it(
    folder: Path, list_: Any, names: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names.specs["photos"] = DatasetSpec(
        name="photos", description="x", license="MIT", make=lambda target: (target / "9.png").write_bytes(draw(9))
    )
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert contents(list_("photos")) == [draw(9)]
    monkeypatch.chdir(tmp_path)
    assert contents(list_("photos")) == [draw(0), draw(1)]
    assert folder.exists()


def test_an_image_that_is_named_like_a_data_set_is_used_instead(
    list_: Any, names: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names.specs["photos"] = DatasetSpec(name="photos", description="x", license="MIT", make=Path.mkdir)
    (tmp_path / "photos").write_bytes(draw(5))
    monkeypatch.chdir(tmp_path)
    assert contents(list_("photos")) == [draw(5)]


def test_an_unknown_name_is_an_error(list_: Any) -> None:
    with pytest.raises(NameNotFound, match="no data set 'bees'"):
        list_("bees")


def test_an_archive_on_the_web_is_fetched_and_verified(folder: Path, list_: Any, site: Any) -> None:
    archive = Path(shutil.make_archive(str(folder), "zip", folder)).read_bytes()
    url = site.put("/photos.zip", archive)
    rows = list_(f"{url}#sha256={hashlib.sha256(archive).hexdigest()}")
    assert contents(rows) == [draw(0), draw(1)]
    assert reasons(rows) == [("notes.txt", "unsupported file type .txt")]


@pytest.fixture
def shards(tmp_path: Path) -> Path:
    """Two shards with one labeled image, one without a label, and one whose key ends early."""
    write_shard(tmp_path / "shards" / "train-0.tar", {"1": {"png": draw(1), "cls": b"ant"}, "2": {"png": draw(2)}})
    write_shard(tmp_path / "shards" / "new-1.tar", {"3": {"v2.png": draw(3)}})
    return tmp_path / "shards"


def test_all_images_of_shards_are_listed_with_or_without_a_label(shards: Path, list_: Any) -> None:
    rows = list_(shards)
    assert contents(rows) == [draw(3), draw(1), draw(2)]
    assert [row.path for row in rows] == [
        shards / "new-1.tar/3.v2.png",
        *(shards / f"train-0.tar/{n}.png" for n in "12"),
    ]
    assert contents(list_(str(shards / "{train-0,new-1}.tar"))) == [draw(1), draw(2), draw(3)]


def test_shards_on_the_web_are_fetched(shards: Path, list_: Any, site: Any) -> None:
    site.put("/train-0.tar", (shards / "train-0.tar").read_bytes())
    assert contents(list_(site.url("/train-{0..0}.tar"))) == [draw(1), draw(2)]


def test_images_in_parquet_need_no_label_column(tmp_path: Path, list_: Any, progress: Any) -> None:
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    images = [{"bytes": draw(number), "path": None} for number in range(3)]
    pq.write_table(pa.table({"image": images}), tmp_path / "a.parquet")
    assert contents(list_(tmp_path / "a.parquet")) == [draw(0), draw(1), draw(2)]
    assert progress.lines == ["note: columns of the table: image 'image'"]


def test_columns_that_only_a_run_needs_do_not_matter_for_images_in_parquet(tmp_path: Path, list_: Any) -> None:
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    images = [{"bytes": draw(0), "path": None}]
    columns = {"image": images, "label": [None], "class": ["x"], "split": ["fold3"], "sample_weight": [-1]}
    pq.write_table(pa.table(columns), tmp_path / "a.parquet")
    assert contents(list_(tmp_path / "a.parquet")) == [draw(0)]


def test_a_column_of_images_can_be_chosen(tmp_path: Path, list_: Any) -> None:
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    columns = {name: [{"bytes": draw(number), "path": None}] for number, name in enumerate(("before", "after"))}
    pq.write_table(pa.table(columns), tmp_path / "a.parquet")
    with pytest.raises(DataError, match="may each be the image column"):
        list_(tmp_path / "a.parquet")
    assert contents(list_(tmp_path / "a.parquet", columns="image=after")) == [draw(1)]


def test_parquet_files_that_are_left_out_have_a_row(tmp_path: Path, list_: Any) -> None:
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    for number, name in enumerate(("train-0", "other")):
        pq.write_table(pa.table({"image": [{"bytes": draw(number), "path": None}]}), tmp_path / f"{name}.parquet")
    rows = list_(tmp_path)
    assert contents(rows) == [draw(0)]
    assert reasons(rows) == [("other.parquet", "its name contains no split")]


def test_a_folder_of_the_hub_is_read_by_the_library(
    tmp_path: Path, list_: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub = pytest.importorskip("datasets")
    monkeypatch.setattr(hub.config, "HF_DATASETS_CACHE", tmp_path / "hf")
    monkeypatch.setattr(hub.config, "HF_HUB_OFFLINE", True)
    features = hub.Features({"image": hub.Image(), "label": hub.ClassLabel(names=["ant"])})
    rows = [{"image": {"bytes": draw(number), "path": None}, "label": number - 1} for number in range(2)]
    (tmp_path / "pets" / "data").mkdir(parents=True)
    part = hub.Dataset.from_list(rows, features=features)
    part.to_parquet(tmp_path / "pets" / "data" / "train-00000-of-00001.parquet")
    assert contents(list_(f"hf:{tmp_path}/pets")) == [draw(0), draw(1)]


@pytest.mark.parametrize(
    ("text", "columns"),
    [("id,label\nant/0.png,\nbee/1.png,x\n", "image=id"), ("1,ant/0.png,b.png\n2,bee/1.png,c.png\n", "image=2")],
)
def test_the_image_column_of_a_table_can_be_chosen(folder: Path, list_: Any, text: str, columns: str) -> None:
    (folder / "t.csv").write_text(text, encoding="utf-8")
    assert contents(list_(folder / "t.csv", columns=columns)) == [draw(0), draw(1)]


@pytest.mark.parametrize(
    ("columns", "message"), [("image=x", "no column 'x'; the columns are 'id'"), ("image=7", "no column 7 for image")]
)
def test_an_image_column_that_does_not_exist_is_an_error(folder: Path, list_: Any, columns: str, message: str) -> None:
    (folder / "t.csv").write_text("id,label\nant/0.png,\n", encoding="utf-8")
    with pytest.raises(DataError, match=message):
        list_(folder / "t.csv", columns=columns)


@pytest.mark.parametrize(
    ("columns", "name", "message"),
    [
        ("image=id,label=x", "t.csv", "predictions need only the column for image; leave out label"),
        ("image=id", ".", "`columns` applies only to a table, but .* is a folder"),
        ("image=id", "ant/0.png", "`columns` applies only to a table, but .* is an image"),
    ],
)
def test_columns_without_an_effect_are_refused(folder: Path, list_: Any, columns: str, name: str, message: str) -> None:
    (folder / "t.csv").write_text("id\nant/0.png\n", encoding="utf-8")
    with pytest.raises(OptionError, match=message):
        list_(folder / name, columns=columns)


def test_a_row_that_repeats_another_one_is_predicted_as_well(folder: Path, list_: Any) -> None:
    (folder / "t.csv").write_text("path\nant/0.png\nant/0.png\n", encoding="utf-8")
    assert contents(list_(folder / "t.csv")) == [draw(0)] * 2


def test_a_source_of_a_plugin_is_listed(folder: Path, list_: Any, names: Any) -> None:
    rows = [(folder / "bee/1.png", ""), (folder / "ant/0.png", "x")]
    names.sources = [
        SourceSpec(prefix="acme", description="images of Acme", fetch=lambda _name, _folder: folder),
        SourceSpec(prefix="rows", description="rows of Acme", fetch=lambda _name, _folder: rows),
    ]
    assert contents(list_("acme:one")) == [draw(0), draw(1)]
    assert contents(list_("rows:one")) == [draw(1), draw(0)]


class Pixels:
    """A map-style data set of two images, the second without a label."""

    def __len__(self) -> int:
        return 2

    def __getitem__(self, index: int) -> tuple[Any, int | None]:
        return np.full((4, 5, 3), index, np.uint8), None if index else 7


def test_python_objects_are_listed(folder: Path, list_: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    pandas = pytest.importorskip("pandas")
    monkeypatch.chdir(folder)
    assert contents(list_([("ant/0.png", "ant"), ("bee/1.png", None)])) == [draw(0), draw(1)]
    assert contents(list_(pandas.DataFrame({"id": ["bee/1.png"]}), columns="image=id")) == [draw(1)]
    assert len(contents(list_(Pixels()))) == 2
    assert len(contents(list_({"train": Pixels(), "test": [("ant/0.png", "")]}))) == 3


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_path_that_is_neither_a_file_nor_a_folder_is_left_out(folder: Path, list_: Any) -> None:
    os.mkfifo(folder / "ant" / "pipe.png")
    (folder / "ant" / "gone.png").symlink_to(folder / "nowhere")
    rows = list_(sorted((folder / "ant").glob("*.png")))
    assert contents(rows) == [draw(0)]
    assert ("pipe.png", "not a regular file") in reasons(rows)
    assert ("gone.png", "a link whose target does not exist") in reasons(rows)


def test_a_list_means_several_sources(folder: Path, list_: Any) -> None:
    assert contents(list_([folder / "bee" / "1.png", folder])) == [draw(1), draw(0), draw(1)]
    assert contents(list_(path for path in sorted(folder.rglob("*.png")))) == [draw(0), draw(1)]
    assert list_([]) == []


def test_a_data_set_of_torchvision_is_listed_with_its_unlabeled_images(
    list_: Any, site: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = {"trainval": "a_1 1 1 1\nb_2 0 0 1", "test": "a_3 1 1 1"}
    served = {
        "/images.tar.gz": tar(
            {f"images/{name}.jpg": draw(number) for number, name in enumerate(("a_1", "b_2", "a_3"))}
        ),
        "/annotations.tar.gz": tar({f"annotations/{name}.txt": text.encode() for name, text in rows.items()}),
    }
    monkeypatch.setattr(
        datasets.OxfordIIITPet, "_RESOURCES", [(site.put(*file), md5(file[1])) for file in served.items()]
    )
    assert contents(list_("torchvision:OxfordIIITPet")) == [draw(0), draw(1), draw(2)]
