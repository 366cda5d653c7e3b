"""Measurements include the process and all processes that it starts."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from measure import PROC, list_session, measure, read_memory

needs_proc = pytest.mark.skipif(
    not (PROC / "self" / "smaps_rollup").is_file(), reason="the system does not report memory"
)


def run(tmp_path: Path, code: str, timeout: float = 60) -> dict[str, Any]:
    return measure([sys.executable, "-c", code], os.environ, tmp_path / "log", timeout)


def test_the_last_line_printed_is_the_answer(tmp_path: Path) -> None:
    found = run(tmp_path, "print('chatter'); print('{\"images\": 3}')")
    assert found["answer"] == {"images": 3}
    assert found["seconds"] > 0


def test_a_failure_is_reported_with_the_last_line_on_stderr(tmp_path: Path) -> None:
    found = run(tmp_path, "import sys; sys.exit('no such network')")
    assert found["error"] == "exit code 1: no such network"
    assert "answer" not in found


@pytest.mark.parametrize("code", ["", "print('done')", "print('{half')"])
def test_a_process_without_an_answer_is_a_failure(tmp_path: Path, code: str) -> None:
    assert "error" in run(tmp_path, code)


def test_a_process_that_takes_too_long_is_killed(tmp_path: Path) -> None:
    found = run(tmp_path, "import threading; threading.Event().wait()", timeout=0.2)
    assert "timed out" in found["error"]


def test_a_killed_process_is_not_reported_as_timed_out(tmp_path: Path) -> None:
    found = run(tmp_path, "import os, signal; os.kill(os.getpid(), signal.SIGKILL)")
    assert found["error"].startswith("exit code -9: killed")


@needs_proc
def test_memory_includes_child_processes() -> None:
    child = "held = bytearray(200 << 20); print(); input()"
    parent = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}])"
    with subprocess.Popen(
        [sys.executable, "-c", parent], stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        assert len(list(list_session(process.pid))) == 2
        assert sum(map(read_memory, list_session(process.pid))) > 200 << 20
        process.communicate(b"\n")


@needs_proc
def test_processes_left_running_are_killed(tmp_path: Path) -> None:
    hang = "import threading; threading.Event().wait()"
    start = f"import os, subprocess, sys; subprocess.Popen([sys.executable, '-c', {hang!r}])"
    found = run(tmp_path, f"{start}; print('{{\"leader\": %d}}' % os.getpid())")
    assert list(list_session(found["answer"]["leader"])) == []
