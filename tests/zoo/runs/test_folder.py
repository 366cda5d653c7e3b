from __future__ import annotations

import os
import stat
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zoo.errors import RunError
from zoo.runs.folder import HISTORY, MODEL, RUN, RunFolder


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def umask() -> Iterator[None]:
    old = os.umask(0o022)
    yield
    os.umask(old)


# Claiming a folder.


def test_a_run_without_output_gets_the_next_free_number(here: Path) -> None:
    folders = [RunFolder.claim(None, "acme/net", "data/photos").path for _ in range(3)]
    assert folders == [Path("runs", f"net-photos-{number}") for number in (1, 2, 3)]
    assert all((here / folder).is_dir() for folder in folders)


def test_a_number_taken_by_a_file_is_skipped(here: Path) -> None:
    (here / "runs").mkdir()
    (here / "runs" / "net-photos-1").touch()
    assert RunFolder.claim(None, "acme/net", "photos").path == Path("runs/net-photos-2")


def test_a_number_taken_by_a_dangling_link_is_skipped(here: Path) -> None:
    (here / "runs").mkdir()
    (here / "runs" / "net-photos-1").symlink_to("nowhere")  # exists() is false, but mkdir fails.
    assert RunFolder.claim(None, "acme/net", "photos").path == Path("runs/net-photos-2")


def test_runs_that_start_at_the_same_time_get_different_folders(here: Path) -> None:
    starts = threading.Barrier(8)

    def claim(_number: int) -> Path:
        starts.wait()
        return RunFolder.claim(None, "acme/net", "photos").path

    with ThreadPoolExecutor(8) as pool:
        folders = list(pool.map(claim, range(8)))
    assert sorted(folders) == sorted(Path("runs", f"net-photos-{number}") for number in range(1, 9))
    assert len(list((here / "runs").iterdir())) == 8


def test_the_folder_of_data_from_a_url_is_named_after_its_archive(here: Path) -> None:
    assert here
    path = RunFolder.claim(None, "acme/net", "https://host/a/photos.zip?x=1#sha256=00").path
    assert path == Path("runs/net-photos-1")


@given(backbone=st.text(min_size=1), data=st.text(min_size=1))
@settings(max_examples=100, deadline=None)
@pytest.mark.usefixtures("here")
def test_the_folder_of_any_backbone_and_data_has_a_plain_name(
    tmp_path_factory: pytest.TempPathFactory, backbone: str, data: str
) -> None:
    os.chdir(tmp_path_factory.getbasetemp())
    path = RunFolder.claim(None, backbone, data).path
    assert path.parent == Path("runs")
    assert path.is_dir()
    assert path.name.isascii()
    path.rmdir()


def test_output_is_created_with_its_parents(tmp_path: Path) -> None:
    folder = RunFolder.claim(tmp_path / "a" / "b", "acme/net", "photos")
    assert folder.path == tmp_path / "a" / "b"
    assert folder.path.is_dir()


def test_an_empty_output_is_accepted(tmp_path: Path) -> None:
    assert RunFolder.claim(tmp_path, "acme/net", "photos").path == tmp_path


@pytest.mark.parametrize(("name", "what"), [(MODEL, "another run"), ("notes.txt", "other files"), (".git", "other")])
def test_an_output_that_is_not_empty_is_refused_and_left_unchanged(tmp_path: Path, name: str, what: str) -> None:
    (tmp_path / name).write_text("mine", encoding="utf-8")
    with pytest.raises(RunError, match=rf"{tmp_path} contains {what}.*choose another `output`"):
        RunFolder.claim(tmp_path, "acme/net", "photos")
    assert (tmp_path / name).read_text(encoding="utf-8") == "mine"


def test_an_output_that_is_a_file_or_below_one_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for output in (tmp_path / "file", tmp_path / "file" / "run"):
        with pytest.raises(RunError, match=str(output)):
            RunFolder.claim(output, "acme/net", "photos")


def test_an_output_that_is_a_dangling_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    with pytest.raises(RunError, match="link"):
        RunFolder.claim(tmp_path / "link", "acme/net", "photos")


def test_a_claimed_output_contains_an_empty_history_and_cannot_be_claimed_again(tmp_path: Path) -> None:
    folder = RunFolder.claim(tmp_path / "run", "acme/net", "photos")
    assert {path.name: path.read_bytes() for path in folder.path.iterdir()} == {HISTORY: b""}
    with pytest.raises(RunError, match=r"run contains other files; choose another `output`, or remove it first"):
        RunFolder.claim(tmp_path / "run", "acme/net", "photos")


def test_only_one_of_several_concurrent_runs_gets_an_output(tmp_path: Path) -> None:
    starts = threading.Barrier(8)

    def claim(_number: int) -> Path | RunError:
        starts.wait()
        try:
            return RunFolder.claim(tmp_path / "run", "acme/net", "photos").path
        except RunError as error:
            return error

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(claim, range(8)))
    assert [answer for answer in answers if isinstance(answer, Path)] == [tmp_path / "run"]
    assert all("choose another `output`" in str(answer) for answer in answers if isinstance(answer, RunError))


# Opening a run.


def test_a_run_is_opened_by_its_folder_or_by_a_file_in_it(tmp_path: Path) -> None:
    (tmp_path / MODEL).touch()
    for path in (tmp_path, tmp_path / MODEL, tmp_path / RUN):
        assert RunFolder.open(path).path == tmp_path


@pytest.mark.parametrize("name", ["", "nowhere", MODEL])
def test_the_error_for_a_folder_without_a_model_names_it(tmp_path: Path, name: str) -> None:
    with pytest.raises(RunError, match=rf"{tmp_path / name} is not a run folder: it has no model\.safetensors"):
        RunFolder.open(tmp_path / name)


# Reading and writing files.


def test_written_files_are_read_back_and_nothing_else_is_left(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    content = {"classes": ["ä/b", 'c"d'], "loss": 0.5, "none": None}
    folder.write_json(RUN, content)
    folder.write_text("README.md", "# Ü\n")
    assert folder.read_json(RUN, dict) == content
    assert (tmp_path / "README.md").read_text(encoding="utf-8") == "# Ü\n"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["README.md", RUN]


class Stop(BaseException):
    """A BaseException that is not an Exception, like KeyboardInterrupt."""


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, Stop])
@pytest.mark.parametrize("old", ["old", None])
def test_an_interrupted_write_leaves_the_old_file_and_no_temporary_one(
    tmp_path: Path, error: type[BaseException], old: str | None
) -> None:
    if old is not None:
        (tmp_path / MODEL).write_text(old, encoding="utf-8")

    def save(path: Path) -> None:
        path.write_text("half", encoding="utf-8")
        raise error

    with pytest.raises(error):
        RunFolder(tmp_path).write(MODEL, save)
    left = {path.name: path.read_text(encoding="utf-8") for path in tmp_path.iterdir()}
    assert left == ({MODEL: old} if old is not None else {})


def test_a_file_gets_its_name_only_when_it_is_complete(tmp_path: Path) -> None:
    seen = []

    def save(path: Path) -> None:
        path.write_text("half", encoding="utf-8")
        seen.append((tmp_path / MODEL).exists())
        path.write_text("whole", encoding="utf-8")

    RunFolder(tmp_path).write(MODEL, save)
    assert seen == [False]
    assert (tmp_path / MODEL).read_text(encoding="utf-8") == "whole"


def test_the_error_for_a_missing_folder_names_the_file(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"run\.json cannot be written"):
        RunFolder(tmp_path / "gone").write_json(RUN, {})


def test_the_error_for_a_full_disk_names_the_file(tmp_path: Path) -> None:
    def save(_path: Path) -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises(RunError, match=r"model\.safetensors cannot be written.*No space left"):
        RunFolder(tmp_path).write(MODEL, save)


@pytest.mark.usefixtures("umask")
def test_files_have_the_permissions_that_the_umask_allows(tmp_path: Path) -> None:
    RunFolder(tmp_path).write_text("README.md", "text")
    assert stat.S_IMODE((tmp_path / "README.md").stat().st_mode) == 0o644


@pytest.mark.parametrize("content", [None, "", "{", "\xff"])
def test_the_error_for_unreadable_json_names_the_file(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / RUN).write_bytes(content.encode("latin-1"))
    with pytest.raises(RunError, match=r"run\.json (cannot be read|is damaged)"):
        RunFolder(tmp_path).read_json(RUN, dict)


@pytest.mark.parametrize("number", [float("nan"), float("inf"), -float("inf")])
def test_numbers_that_json_cannot_represent_are_refused(tmp_path: Path, number: float) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        RunFolder(tmp_path).write_json(RUN, {"loss": number})
    assert list(tmp_path.iterdir()) == []


def test_a_path_that_is_not_unicode_is_written_and_read_back(tmp_path: Path) -> None:
    content = {"path": os.fsdecode(b"caf\xe9.png")}
    RunFolder(tmp_path).write_json(RUN, content)
    assert RunFolder(tmp_path).read_json(RUN, dict) == content
    assert (tmp_path / RUN).read_bytes().isascii()


def test_an_output_below_a_file_is_refused_early(tmp_path: Path) -> None:
    (tmp_path / "notes").write_text("mine")
    with pytest.raises(RunError, match=r"run cannot be created: .*notes is a file; choose another `output`\."):
        RunFolder.refuse_used(tmp_path / "notes" / "deep" / "run")
    RunFolder.refuse_used(tmp_path / "new" / "deep" / "run")
