from __future__ import annotations

import os
import stat
from pathlib import Path
from threading import Barrier, Thread

import pytest

from zoo.errors import RunError
from zoo.files.atomic import PREFIX, remove_partial, whole, written


def test_a_file_gets_its_name_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "model"
    with written(path) as own:
        own.write_text("whole")
        assert not path.exists()
    assert [(file.name, file.read_text()) for file in tmp_path.iterdir()] == [("model", "whole")]


def test_what_fails_leaves_what_was_there_before(tmp_path: Path) -> None:
    path = tmp_path / "model"
    path.write_text("before")

    def fail() -> None:
        with written(path) as own:
            own.write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert [(file.name, file.read_text()) for file in tmp_path.iterdir()] == [("model", "before")]


def test_a_folder_gets_its_name_when_it_is_whole_and_else_nothing_is_left(tmp_path: Path) -> None:
    def make(*files: str) -> None:
        with whole(tmp_path / "data") as own:
            own.mkdir()
            for name in files:
                (own / name).touch()
            assert not (tmp_path / "data").exists()
            if len(files) < 2:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make("a")
    assert list(tmp_path.iterdir()) == []
    make("a", "b")
    assert sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*")) == ["data", "data/a", "data/b"]


def test_two_that_make_the_same_folder_at_the_same_time_both_get_a_whole_one(tmp_path: Path) -> None:
    together = Barrier(2)
    errors: list[BaseException] = []

    def make() -> None:
        try:
            with whole(tmp_path / "data") as own:
                own.mkdir()
                (own / "a").touch()
                together.wait()  # neither is ready before the other
        except BaseException as error:  # noqa: BLE001  # for the assertion below
            errors.append(error)

    threads = [Thread(target=make) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert [path.relative_to(tmp_path).as_posix() for path in sorted(tmp_path.rglob("*"))] == ["data", "data/a"]


def test_a_folder_does_not_take_the_place_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("before")

    def make() -> None:
        with whole(tmp_path / "data") as own:
            own.mkdir()

    with pytest.raises(OSError, match="directory"):
        make()
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("data", "before")]


def test_a_disk_that_refuses_is_an_error_with_the_path_and_the_room(tmp_path: Path) -> None:
    def fail() -> None:
        with written(tmp_path / "model", 12_345):
            raise OSError(28, "No space left on device")

    with pytest.raises(
        RunError,
        match=r"model cannot be written: No space left on device; 12,345 bytes are needed, and [\d,]+ bytes are free",
    ):
        fail()
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_gone_is_an_error(tmp_path: Path) -> None:
    def write() -> None:
        with written(tmp_path / "gone" / "model") as own:
            own.write_text("whole")

    with pytest.raises(RunError, match="No such file"):
        write()


def test_what_killed_processes_left_is_removed_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / f"{PREFIX}0f-model").touch()
    (tmp_path / "model").touch()
    remove_partial(tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == ["model"]


def test_a_file_can_be_read_by_others_whoever_wrote_it(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        with written(tmp_path / "model") as own:
            own.touch(0o600)
        assert stat.S_IMODE((tmp_path / "model").stat().st_mode) == 0o644
        assert os.umask(0o022) == 0o022  # it is still what it was
    finally:
        os.umask(before)


def test_bytes_are_on_the_disk_before_the_name_and_the_name_before_it_returns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []
    synchronise, replace = os.fsync, Path.replace

    def note_fsync(descriptor: int) -> None:
        synchronise(descriptor)
        done.append("folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "bytes")

    def note_replace(path: Path, target: Path) -> None:
        replace(path, target)
        done.append("name")

    monkeypatch.setattr(os, "fsync", note_fsync)
    monkeypatch.setattr(Path, "replace", note_replace)
    with written(tmp_path / "model") as own:
        own.write_text("whole")
        done.append("written")
    assert done == ["written", "bytes", "name", "folder"]
