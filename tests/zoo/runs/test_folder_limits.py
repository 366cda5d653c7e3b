"""Run folders whose name is too long, or which cannot be written."""

from __future__ import annotations

from pathlib import Path

import pytest

from unprivileged import obeying_permissions
from zoo.errors import RunError
from zoo.progress import Silent
from zoo.registry.registry import Registry
from zoo.runs.classifier import load
from zoo.runs.compare import compare_runs
from zoo.runs.folder import RunFolder
from zoo.runs.lock import RunLock
from zoo.training.resume import find_earlier

LONG = "a" * 300


def test_an_output_whose_name_is_too_long_is_refused_before_the_run(tmp_path: Path) -> None:
    for output in (tmp_path / LONG, tmp_path / LONG / "run"):
        with pytest.raises(RunError, match=r"cannot be used: File name too long; choose another `output`"):
            RunFolder.refuse_used(output)
        with pytest.raises(RunError, match=r"cannot be used: File name too long; choose another `output`"):
            find_earlier(output, RunLock(), Silent())


def test_a_run_whose_name_is_too_long_is_refused(tmp_path: Path, registry: Registry) -> None:
    with pytest.raises(RunError, match=r"cannot be used: File name too long"):
        load(tmp_path / LONG, registry=registry)
    with pytest.raises(RunError, match=r"cannot be used: File name too long"):
        compare_runs([tmp_path / LONG])


def test_the_name_of_a_run_folder_is_cut_to_what_file_systems_allow(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    first, second = (RunFolder.claim(None, "acme/net", "b" * 250) for _ in range(2))
    assert (first.path.name[:6], first.path.name[-2:], second.path.name[-2:]) == ("net-bb", "-1", "-2")


def test_an_output_below_a_file_is_refused_before_the_run(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(RunError, match=r"file/a/b cannot be created: .*file is a file; choose another `output`"):
        RunFolder.refuse_used(tmp_path / "file" / "a" / "b")


@pytest.mark.parametrize("output", ["closed", "closed/run", "closed/a/b"])
def test_an_output_in_a_folder_that_cannot_be_written_is_refused_before_the_run(tmp_path: Path, output: str) -> None:
    (tmp_path / "closed").mkdir(mode=0o555)
    with obeying_permissions(), pytest.raises(RunError, match=r"the folder .*closed is not writable; choose another"):
        RunFolder.refuse_used(tmp_path / output)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_is_one_line_with_the_name_of_the_file(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"run.json cannot be written: No space left on device"):
        RunFolder(tmp_path).write("run.json", lambda _: Path("/dev/full").write_text("x"))
    assert list(tmp_path.iterdir()) == []
