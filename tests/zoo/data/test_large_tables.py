"""A table with a million rows fits into memory: each image takes a few hundred bytes."""

from __future__ import annotations

import os
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from zoo.data.dataset import open_images
from zoo.data.examine import _examine_each
from zoo.data.sources.table import list_table
from zoo.progress import Silent
from zoo.registry.data_options import DataOptions
from zoo.registry.registry import Registry

COUNT = 5000
#: Maximum number of bytes for each image at any time, and at the end. Objects for the table itself are included.
PEAK, KEPT = 500, 400


@pytest.fixture
def table(tmp_path: Path, draw: Any) -> Path:
    """A table of links to the same few images, with names as long as usual."""
    images = []
    for number in range(5):
        draw(number, size=(4, 4)).save(tmp_path / f"{number}.png")
        images.append(tmp_path / f"{number}.png")
    names = [f"folder/{number:08}.png" for number in range(COUNT)]
    (tmp_path / "folder").mkdir()
    for number, name in enumerate(names):
        os.link(images[number % 5], tmp_path / name)
    table = tmp_path / "table.csv"
    table.write_text("path,label\n" + "".join(f"{name},c{number % 5}\n" for number, name in enumerate(names)))
    return table


def measure(work: Callable[[], Any]) -> tuple[Any, float, float]:
    """Return the result of a function, and the bytes per image at the peak and at the end."""
    tracemalloc.start()
    try:
        result = work()
        kept, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    return result, peak / COUNT, kept / COUNT


def test_an_image_of_a_large_data_set_takes_a_few_hundred_bytes(
    table: Path, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ZOO_MAX_EXAMINED_IMAGES", "100")
    monkeypatch.setattr("zoo.data.bit_depth.MEASURED", 10)  # as few, in proportion, as in a large data set
    open_images(table, DataOptions(), registry=registry, progress=Silent())  # imports modules
    images, peak, kept = measure(lambda: open_images(table, DataOptions(), registry=registry, progress=Silent()))
    assert (len(images.train), len(images.val)) == (4000, 1000)
    assert kept < KEPT
    assert peak < PEAK


def test_only_some_images_wait_for_a_thread(table: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("zoo.data.examine._PENDING", 10)
    files, seen = list_table(table, DataOptions()).files, []
    results = _examine_each(files[:35], lambda file: seen.append(file) or b"digest")  # type: ignore[func-returns-value]
    assert next(results) == (files[0], b"digest")
    assert len(seen) <= 10
    assert [file for file, _ in results] == list(files[1:35])
