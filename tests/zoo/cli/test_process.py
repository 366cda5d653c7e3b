"""How the process ends: at once, after all that others want done at its end, and with its own exit code."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

#: Runs the process with other work than the command line's. What is put away on the very way out is told.
CODE = """
import atexit, os, sys, threading
import zoo.cli
import zoo.cli.process as process

class Told:
    def __del__(self, tell=os.mkdir):
        tell("taken-apart")

sys.told = Told()

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
def test_it_ends_at_once_after_what_others_want_done(tmp_path: Path, work: str, code: int) -> None:
    result = run(tmp_path, f"others(); sys.exit({work})")
    assert (result.returncode, result.stderr) == (code, "")
    assert sorted(result.stdout.splitlines()) == ["at exit", "thread"]
    assert not (tmp_path / "taken-apart").exists()


def test_a_bug_is_told_and_ends_it_as_ever(tmp_path: Path) -> None:
    result = run(tmp_path, "raise ZeroDivisionError('told')")
    assert result.returncode == 1
    assert result.stderr.splitlines()[-1] == "ZeroDivisionError: told"
    assert (tmp_path / "taken-apart").exists()


def test_a_message_is_told_and_ends_it_as_ever(tmp_path: Path) -> None:
    result = run(tmp_path, "sys.exit('told')")
    assert (result.returncode, result.stderr) == (1, "told\n")


def test_no_stdout_is_no_error(tmp_path: Path) -> None:
    result = run(tmp_path, "sys.stdout = None; sys.exit(2)")
    assert (result.returncode, result.stderr) == (2, "")
    assert not (tmp_path / "taken-apart").exists()


def test_what_cannot_be_written_any_more_is_said_as_ever(tmp_path: Path) -> None:
    result = run(tmp_path, "print(1); os.close(1); sys.exit(0)")
    assert result.returncode == 120
    assert "Bad file descriptor" in result.stderr
