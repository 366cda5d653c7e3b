"""The process of a command exits without teardown, after all exit functions, and with the right exit code."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

#: Script that runs the process of a command with other work in place of the command line. Teardown creates a folder.
CODE = """
import atexit, os, sys, threading
import zoo.cli
import zoo.cli.process as process

class Witness:
    def __del__(self, report=os.mkdir):
        report("taken-apart")

sys.message = Witness()

def others():
    atexit.register(lambda: print("at exit"))
    threading.Thread(target=lambda: print("thread")).start()

def work():
    WORK

zoo.cli.main = work
process.run()
"""


def run(tmp_path: Path, work: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", CODE.replace("WORK", work)],
        cwd=tmp_path,
        env={**os.environ, "PYTHONUNBUFFERED": ""},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize(("work", "code"), [("0", 0), ("2", 2), ("", 0)])
def test_the_process_exits_without_teardown_after_threads_and_exit_functions(
    tmp_path: Path, work: str, code: int
) -> None:
    result = run(tmp_path, f"others(); sys.exit({work})")
    assert (result.returncode, result.stderr) == (code, "")
    assert sorted(result.stdout.splitlines()) == ["at exit", "thread"]
    assert not (tmp_path / "taken-apart").exists()


def test_an_internal_error_ends_the_process_normally(tmp_path: Path) -> None:
    result = run(tmp_path, "raise ZeroDivisionError('message')")
    assert result.returncode == 1
    assert result.stderr.splitlines()[-1] == "ZeroDivisionError: message"
    assert (tmp_path / "taken-apart").exists()


def test_an_exit_message_ends_the_process_normally(tmp_path: Path) -> None:
    result = run(tmp_path, "sys.exit('message')")
    assert (result.returncode, result.stderr) == (1, "message\n")


def test_a_missing_stdout_is_not_an_error(tmp_path: Path) -> None:
    result = run(tmp_path, "sys.stdout = None; sys.exit(2)")
    assert (result.returncode, result.stderr) == (2, "")
    assert not (tmp_path / "taken-apart").exists()


def test_output_that_cannot_be_written_is_reported_as_usual(tmp_path: Path) -> None:
    result = run(tmp_path, "print(1); os.close(1); sys.exit(0)")
    assert result.returncode == 120
    assert "Bad file descriptor" in result.stderr
