"""Images that are not files are written to the cache folder once, by one process."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock

from zoo.data.sources.cached_images import RULES, TABLE, CachedImage, cache_images
from zoo.files.leftovers import lock_path
from zoo.progress import Silent

KEY = "a" * 64


@pytest.fixture(autouse=True)
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def draw() -> Iterator[CachedImage]:
    yield CachedImage(np.zeros((4, 4, 3), dtype="uint8"), "black")


def refuse() -> Iterator[CachedImage]:
    raise AssertionError("the images are read twice")
    yield


def test_images_with_a_known_key_are_not_read_again() -> None:
    table = cache_images(draw(), 1, Silent(), key=KEY)
    assert cache_images(refuse(), 1, Silent(), key=KEY) == table


def test_while_one_process_writes_the_images_the_others_wait(cache: Path) -> None:
    found: list[Path] = []
    table = cache / "data" / f"{KEY}-{RULES}" / TABLE
    lock = lock_path(table.parent)
    lock.parent.mkdir(parents=True)
    thread = threading.Thread(target=lambda: found.append(cache_images(refuse(), 1, Silent(), key=KEY)), daemon=True)
    with FileLock(lock):
        thread.start()
        thread.join(0.5)
        assert thread.is_alive()  # It waits for the lock.
        table.parent.mkdir(parents=True)
        table.touch()
    thread.join(30)
    assert found == [table]


def test_the_unfinished_folder_is_removed_if_an_image_cannot_be_written(cache: Path) -> None:
    with pytest.raises(Exception, match="the images are read twice"):
        cache_images(refuse(), 1, Silent(), key=KEY)
    assert [*(cache / "data").iterdir()] == []


def test_images_that_older_rules_accepted_are_written_again(monkeypatch: pytest.MonkeyPatch) -> None:
    table = cache_images(draw(), 1, Silent(), key=KEY)
    monkeypatch.setattr("zoo.data.sources.cached_images.RULES", RULES + 1)
    assert cache_images(draw(), 1, Silent(), key=KEY) != table
