"""What killed processes left in the cache folder is removed, and what running processes write is not."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from filelock import FileLock

from zoo.files.atomic import atomic_write
from zoo.files.leftovers import lock_path, remove_leftovers
from zoo.files.limits import PART_SECONDS, PARTIAL_SECONDS
from zoo.files.partial import PREFIX
from zoo.files.processes import is_running

#: Beginning of the names of weights files.
KEY = "0" * 16


@pytest.fixture(name="ended", scope="module")
def _ended() -> int:
    """The ID of a process that has ended."""
    with subprocess.Popen([sys.executable, "-c", ""]) as child:
        pass
    return child.pid


def make(path: Path, age: float, *inner: str) -> Path:
    """Make a file, or a folder with files, that was last written some seconds ago."""
    path.parent.mkdir(parents=True, exist_ok=True)
    for name in inner:
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).touch()
    path.touch()
    for file in (path, *path.rglob("*")):
        os.utime(file, (time.time() - age,) * 2)
    return path


@pytest.mark.parametrize("kind", ["features", "data", "weights"])
@pytest.mark.parametrize("inner", [(), ("ant/1.jpg", "bee/2.jpg")])
def test_an_old_file_or_folder_of_a_process_that_has_ended_is_removed(
    own_cache: Path, ended: int, kind: str, inner: tuple[str, ...]
) -> None:
    path = make(own_cache / kind / f"{PREFIX}{ended}-0f-name", PARTIAL_SECONDS.default + 60, *inner)
    complete = make(own_cache / kind / "name", PARTIAL_SECONDS.default + 60, *inner)
    remove_leftovers()
    assert not path.exists()
    assert complete.exists()


def test_the_file_of_a_running_process_is_kept_however_old_it_is(own_cache: Path) -> None:
    with atomic_write(own_cache / "data" / "name") as partial:
        make(partial, 10 * PART_SECONDS.default, "ant/1.jpg")
        remove_leftovers()
        assert (partial / "ant" / "1.jpg").exists()
    assert (own_cache / "data" / "name" / "ant" / "1.jpg").exists()


def test_a_recent_file_is_kept_because_its_process_may_run_on_another_machine(own_cache: Path, ended: int) -> None:
    path = make(own_cache / "data" / f"{PREFIX}{ended}-0f-name", PARTIAL_SECONDS.default + 60, "ant/1.jpg")
    (path / "ant" / "2.jpg").touch()
    remove_leftovers()
    assert path.exists()


def test_an_old_interrupted_download_is_removed_unless_a_process_is_resuming_it(own_cache: Path) -> None:
    old = make(own_cache / "weights" / f"{KEY}-old.bin.part", PART_SECONDS.default + 60)
    recent = make(own_cache / "weights" / f"{KEY}-recent.bin.part", PART_SECONDS.default - 60)
    lock = lock_path(old.with_name(f"{KEY}-old.bin"))
    lock.parent.mkdir(parents=True)
    with FileLock(lock):
        remove_leftovers()
        assert old.exists()
    remove_leftovers()
    assert not old.exists()
    assert recent.exists()


def test_the_ages_are_adjustable(own_cache: Path, ended: int, monkeypatch: pytest.MonkeyPatch) -> None:
    make(own_cache / "weights" / f"{KEY}-old.bin.part", 20)
    make(own_cache / "weights" / f"{PREFIX}{ended}-0f-name", 20)
    monkeypatch.setenv("ZOO_MAX_PART_SECONDS", "10")
    monkeypatch.setenv("ZOO_MAX_PARTIAL_SECONDS", "10")
    remove_leftovers()
    assert [*(own_cache / "weights").iterdir()] == []


def test_without_a_cache_folder_nothing_happens(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path / "nowhere"))
    remove_leftovers()
    assert [*tmp_path.iterdir()] == []


def test_a_process_is_running_until_it_has_ended(ended: int) -> None:
    assert is_running(str(os.getpid()))
    assert is_running("1")
    assert not is_running(str(ended))
    assert not is_running("9" * 30)
    assert not is_running("0f")


def test_old_files_that_zoo_did_not_create_are_kept(own_cache: Path) -> None:
    kept = [
        make(own_cache / "data" / name, 10 * PART_SECONDS.default) for name in ("photos.zip.part", f"{PREFIX}notes.txt")
    ]
    remove_leftovers()
    assert all(path.exists() for path in kept)
