"""Files and folders are written completely or not at all."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from threading import Barrier, Thread

import pytest

from zoo.errors import RunError
from zoo.files.atomic import atomic_run_write, atomic_write, remove_partial
from zoo.files.partial import PREFIX


def test_a_file_gets_its_name_when_it_is_complete(tmp_path: Path) -> None:
    path = tmp_path / "model"
    with atomic_run_write(path) as temporary:
        temporary.write_text("whole")
        assert not path.exists()
    assert [(file.name, file.read_text()) for file in tmp_path.iterdir()] == [("model", "whole")]


def test_a_failed_write_keeps_the_previous_file(tmp_path: Path) -> None:
    path = tmp_path / "model"
    path.write_text("before")

    def fail() -> None:
        with atomic_run_write(path) as temporary:
            temporary.write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert [(file.name, file.read_text()) for file in tmp_path.iterdir()] == [("model", "before")]


def test_a_folder_gets_its_name_when_it_is_complete_or_is_removed(tmp_path: Path) -> None:
    def make(*files: str) -> None:
        with atomic_write(tmp_path / "data") as temporary:
            temporary.mkdir()
            for name in files:
                (temporary / name).touch()
            assert not (tmp_path / "data").exists()
            if len(files) < 2:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make("a")
    assert list(tmp_path.iterdir()) == []
    make("a", "b")
    assert sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*")) == ["data", "data/a", "data/b"]


def test_two_threads_may_create_the_same_folder_at_the_same_time(tmp_path: Path) -> None:
    barrier = Barrier(2)
    errors: list[BaseException] = []

    def make() -> None:
        try:
            with atomic_write(tmp_path / "data") as temporary:
                temporary.mkdir()
                (temporary / "a").touch()
                barrier.wait()  # Both folders are complete before one gets its name.
        except BaseException as error:  # noqa: BLE001  # The assertion below checks it.
            errors.append(error)

    threads = [Thread(target=make) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert [path.relative_to(tmp_path).as_posix() for path in sorted(tmp_path.rglob("*"))] == ["data", "data/a"]


def test_a_folder_does_not_replace_a_file(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("before")

    def make() -> None:
        with atomic_write(tmp_path / "data") as temporary:
            temporary.mkdir()

    with pytest.raises(OSError, match="directory"):
        make()
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("data", "before")]


def test_a_full_disk_is_an_error_with_the_path_and_the_free_space(tmp_path: Path) -> None:
    def fail() -> None:
        with atomic_run_write(tmp_path / "model", 12_345):
            raise OSError(28, "No space left on device")

    with pytest.raises(
        RunError,
        match=r"model cannot be written: No space left on device; 12,345 bytes are needed, and [\d,]+ bytes are free",
    ):
        fail()
    assert list(tmp_path.iterdir()) == []


def test_a_missing_parent_folder_is_an_error(tmp_path: Path) -> None:
    def write() -> None:
        with atomic_run_write(tmp_path / "gone" / "model") as temporary:
            temporary.write_text("whole")

    with pytest.raises(RunError, match="No such file"):
        write()


def test_only_the_unfinished_files_of_killed_processes_are_removed(tmp_path: Path) -> None:
    (tmp_path / f"{PREFIX}0f-model").touch()
    (tmp_path / "model").touch()
    remove_partial(tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == ["model"]


def test_a_private_file_gets_the_default_mode(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        with atomic_run_write(tmp_path / "model") as temporary:
            temporary.touch(0o600)
        assert stat.S_IMODE((tmp_path / "model").stat().st_mode) == 0o644
        assert os.umask(0o022) == 0o022  # The umask has not changed.
    finally:
        os.umask(before)


def test_the_bytes_reach_the_disk_before_the_name_and_the_name_before_the_function_returns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []
    fsync, replace = os.fsync, Path.replace

    def record_fsync(descriptor: int) -> None:
        fsync(descriptor)
        calls.append("folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "bytes")

    def record_replace(path: Path, target: Path) -> None:
        replace(path, target)
        calls.append("name")

    monkeypatch.setattr(os, "fsync", record_fsync)
    monkeypatch.setattr(Path, "replace", record_replace)
    with atomic_run_write(tmp_path / "model") as temporary:
        temporary.write_text("whole")
        calls.append("written")
    assert calls == ["written", "bytes", "name", "folder"]
