"""A cache folder that cannot be written, or whose disk is full."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from unprivileged import obeying_permissions
from zoo.data.examine import examine_files
from zoo.data.source import locate
from zoo.data.sources.folder import list_folder
from zoo.errors import CacheError, DataError
from zoo.files.cache import cache_folder
from zoo.plugin import DatasetSpec

Plant = Callable[[Path, Mapping[str, int]], Path]


@pytest.fixture
def archive(tmp_path: Path, plant: Plant) -> Path:
    folder = plant(tmp_path / "photos", {"ant": 1, "bee": 1})
    return Path(shutil.make_archive(str(folder), "zip", folder))


def test_an_archive_needs_a_cache_folder_that_can_be_written(
    cache: Path, archive: Path, names: Any, progress: Any
) -> None:
    cache.mkdir(mode=0o555)
    with (
        obeying_permissions(),
        pytest.raises(CacheError, match=r"cache/data cannot be written: Permission denied; set ZOO_CACHE"),
    ):
        locate(archive, registry=names, progress=progress)


def test_a_cache_folder_below_a_file_is_an_error(cache: Path, archive: Path, names: Any, progress: Any) -> None:
    cache.touch()
    with pytest.raises(CacheError, match=r"cache/data cannot be written: Not a directory; set ZOO_CACHE"):
        locate(archive, registry=names, progress=progress)


def test_images_are_examined_without_a_cache_folder_that_can_be_written(
    cache: Path, tmp_path: Path, plant: Plant, progress: Any
) -> None:
    cache.mkdir(mode=0o555)
    files = list_folder(plant(tmp_path / "photos", {"ant": 1, "bee": 1})).files
    with obeying_permissions():
        good, bad, _ = examine_files(files, {"ant": 0, "bee": 1}, progress=progress)
    assert (len(good), bad, list(cache.iterdir())) == (2, [], [])


def test_an_archive_that_cannot_be_read_is_an_error(cache: Path, archive: Path, names: Any, progress: Any) -> None:
    archive.chmod(0)
    with obeying_permissions(), pytest.raises(DataError, match=r"photos.zip cannot be used: Permission denied"):
        locate(archive, registry=names, progress=progress)
    assert not cache.exists()


def test_a_full_disk_is_not_blamed_on_the_plugin_that_generates_a_data_set(
    cache: Path, names: Any, progress: Any
) -> None:
    def fill(folder: Path) -> None:
        (folder / "ant").mkdir()
        raise OSError(errno.ENOSPC, "No space left on device")

    names.specs["acme/suns"] = DatasetSpec(name="acme/suns", description="suns", make=fill, license="MIT")
    with pytest.raises(CacheError, match=r"cache/data cannot be written: No space left on device"):
        locate(names.get_dataset("acme/suns"), registry=names, progress=progress)
    assert list(cache.rglob("*")) == [cache / "data"]


def test_a_cache_folder_without_a_home_folder_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZOO_CACHE", "~nobody-here/cache")
    with pytest.raises(CacheError, match=r"~nobody-here/cache needs a home folder, and there is none; set ZOO_CACHE"):
        cache_folder()
