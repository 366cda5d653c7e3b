"""Errors about missing images of a table say where its paths begin."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from zoo.data.dataset import open_images
from zoo.data.eval_dataset import Trained, open_labeled
from zoo.data.sources.table import list_table
from zoo.errors import DataError
from zoo.registry.data_options import DataOptions

RELATIVE = r"there is no such file.*\); the paths in a table are relative to the table's folder, 'tables'"


@pytest.fixture
def table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A table in the folder tables, with the paths mini/ant/0.jpg and mini/bee/0.jpg."""
    monkeypatch.chdir(tmp_path)
    path = Path("tables/mini.csv")
    path.parent.mkdir()
    path.write_text("path,label\nmini/ant/0.jpg,ant\nmini/bee/0.jpg,bee\n")
    return path


def open_table(table: Path, names: Any, progress: Any) -> None:
    open_images(table, DataOptions(), registry=names, progress=progress)


def test_missing_images_of_a_table_are_looked_for_in_its_folder(table: Path, names: Any, progress: Any) -> None:
    with pytest.raises(DataError, match=RELATIVE + r"\.$"):
        open_table(table, names, progress)


def test_images_that_exist_in_the_working_directory_are_mentioned(table: Path, names: Any, progress: Any) -> None:
    Path("mini/ant").mkdir(parents=True)
    Path("mini/ant/0.jpg").touch()
    with pytest.raises(DataError, match=RELATIVE + ", but 'mini/ant/0.jpg' exists in the working directory; move"):
        open_table(table, names, progress)


def test_an_evaluation_says_where_the_paths_of_a_table_begin(table: Path, progress: Any) -> None:
    with pytest.raises(DataError, match="no readable images in all; the paths in a table are relative to"):
        open_labeled(list_table(table, DataOptions()), "mini", None, trained=Trained(("ant", "bee")), progress=progress)


def test_unreadable_images_say_nothing_about_paths(table: Path, names: Any, progress: Any) -> None:
    for name in ("ant", "bee"):
        path = Path("tables/mini", name, "0.jpg")
        path.parent.mkdir(parents=True)
        path.write_bytes(b"no image")
    with pytest.raises(DataError, match=r"no readable training images: .*\)\.$"):
        open_table(table, names, progress)
