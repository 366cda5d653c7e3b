"""Several processes want the same file, and some of them die."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import zoo
from fetching import CONTENT, DIGEST, get, left_in
from zoo.files.resumable import ABANDONED

Site = Any  # of conftest.py, which cannot be imported

CHILD = """
import sys
from contextlib import contextmanager
from pathlib import Path
from zoo.files.download import fetch
from zoo.progress import Silent


class Counting(Silent):
    @contextmanager
    def track(self, title, total):
        yield lambda steps: print(steps, flush=True)


fetch(sys.argv[1], Path(sys.argv[2]), sha256=sys.argv[3], size=None, progress=Counting())
"""


@contextmanager
def child_that_fetches(url: str, target: Path) -> Iterator[subprocess.Popen[str]]:
    """Start a process that prints how many bytes it has written, chunk by chunk."""
    environment = {**os.environ, "PYTHONPATH": str(Path(zoo.__file__).parents[1])}
    command = [sys.executable, "-c", CHILD, url, str(target), DIGEST]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment, text=True) as child:
        yield child


def wait_for_bytes(child: subprocess.Popen[str], size: int) -> None:
    assert child.stdout is not None
    while size > 0:
        size -= int(child.stdout.readline())


def test_processes_that_fetch_the_same_file_at_once_do_not_disturb_each_other(site: Site, target: Path) -> None:
    url = site.put("/file", CONTENT)
    site.faults = ["hold:5000"] * 3
    with ExitStack() as stack:
        children = [stack.enter_context(child_that_fetches(url, target)) for _ in range(3)]
        for child in children:
            wait_for_bytes(child, 5000)
        assert len(left_in(target.parent)) == 3
        site.go_on.set()
        assert [child.wait(30) for child in children] == [0, 0, 0]
    assert target.read_bytes() == CONTENT
    assert left_in(target.parent) == {"file.bin"}


def test_what_a_killed_process_left_is_gone_on_with(site: Site, target: Path) -> None:
    url = site.put("/file", CONTENT)
    site.faults = ["hold:5000"]
    with child_that_fetches(url, target) as child:
        wait_for_bytes(child, 5000)
        (left,) = target.parent.iterdir()
        child.kill()
    long_ago = left.stat().st_mtime - ABANDONED - 1
    os.utime(left, (long_ago, long_ago))
    assert get(url, target) == CONTENT
    assert site.ranges == [None, "bytes=5000-"]
    assert left_in(target.parent) == {"file.bin"}


def test_what_a_living_process_writes_is_not_touched(site: Site, target: Path) -> None:
    url = site.put("/file", CONTENT)
    site.faults = ["hold:5000"]
    with child_that_fetches(url, target) as slow:
        wait_for_bytes(slow, 5000)
        assert get(url, target) == CONTENT
        assert site.ranges == [None, None]
        finished = target.stat().st_ino
        site.go_on.set()
        assert slow.wait(30) == 0
    assert target.stat().st_ino == finished  # the slower one took what the faster one had finished
    assert left_in(target.parent) == {"file.bin"}


def test_what_a_dead_process_left_beside_a_whole_file_goes(site: Site, target: Path) -> None:
    target.parent.mkdir()
    target.write_bytes(CONTENT)
    left = target.with_name("file.bin.partial-0123abcd")
    left.write_bytes(b"abc")
    os.utime(left, (1, 1))
    get(site.url("/file"), target)
    assert left_in(target.parent) == {"file.bin"}
