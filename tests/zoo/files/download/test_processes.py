"""Several processes download the same file, and some of them are killed."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from filelock import SoftFileLock

import zoo
from fetching import CONTENT, DIGEST, get, left_in
from zoo.errors import DownloadError
from zoo.files.cache import cache_folder

Site = Any  # The class is in conftest.py, which cannot be imported.

CHILD = """
import sys
from contextlib import contextmanager
from pathlib import Path
from zoo.files.download import fetch
from zoo.progress import Silent


class Printing(Silent):
    def say(self, text):
        print(text, flush=True)

    @contextmanager
    def track(self, title, total):
        yield lambda steps: print(steps, flush=True)


fetch(sys.argv[1], Path(sys.argv[2]), sha256=sys.argv[3], size=None, progress=Printing())
"""


@contextmanager
def child_that_fetches(url: str, target: Path) -> Iterator[subprocess.Popen[str]]:
    """Start a process that fetches ``url`` and prints its progress, with the number of bytes of each chunk."""
    environment = {**os.environ, "PYTHONPATH": str(Path(zoo.__file__).parents[1])}
    command = [sys.executable, "-c", CHILD, url, str(target), DIGEST]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment, text=True) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == f"fetching {url}\n"
        yield child


def wait_for_bytes(child: subprocess.Popen[str], size: int) -> None:
    assert child.stdout is not None
    while size > 0:
        size -= int(child.stdout.readline())


def wait_for_lock_message(child: subprocess.Popen[str]) -> None:
    assert child.stdout is not None
    assert child.stdout.readline() == "waiting for another process that is fetching it\n"


def test_one_process_fetches_and_the_others_wait(site: Site, target: Path) -> None:
    url = site.put("/file", CONTENT)
    site.faults = ["hold:5000"]
    with child_that_fetches(url, target) as first, ExitStack() as stack:
        wait_for_bytes(first, 5000)
        others = [stack.enter_context(child_that_fetches(url, target)) for _ in range(2)]
        for child in others:
            wait_for_lock_message(child)
        assert left_in(target.parent) == {"file.bin.part"}
        site.released.set()
        assert [child.wait(30) for child in (first, *others)] == [0, 0, 0]
    assert site.ranges == [None]
    assert target.read_bytes() == CONTENT
    assert left_in(target.parent) == {"file.bin"}


def test_the_partial_file_of_a_killed_process_is_resumed(site: Site, target: Path) -> None:
    url = site.put("/file", CONTENT)
    site.faults = ["hold:5000"]
    with child_that_fetches(url, target) as child:
        wait_for_bytes(child, 5000)
        child.kill()
    assert get(url, target) == CONTENT
    assert site.ranges == [None, "bytes=5000-"]
    assert left_in(target.parent) == {"file.bin"}


def test_a_waiting_process_resumes_the_partial_file_of_a_killed_one(site: Site, target: Path) -> None:
    url = site.put("/file", CONTENT)
    site.faults = ["hold:5000"]
    with child_that_fetches(url, target) as first, child_that_fetches(url, target) as second:
        wait_for_bytes(first, 5000)
        wait_for_lock_message(second)
        first.kill()
        assert second.wait(30) == 0
    assert site.ranges == [None, "bytes=5000-"]
    assert target.read_bytes() == CONTENT


def test_waiting_for_another_process_has_a_time_limit(
    site: Site, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ZOO_MAX_LOCK_SECONDS", "0")
    url = site.put("/file", CONTENT)
    site.faults = ["hold:5000"]
    with child_that_fetches(url, target) as child:
        wait_for_bytes(child, 5000)
        with pytest.raises(DownloadError, match="another process has been fetching it for 0 seconds") as caught:
            get(url, target)
        child.kill()
    assert f"If no such process exists, remove {cache_folder() / 'locks' / 'file.bin.lock'} and try again" in str(
        caught.value
    )


def test_the_error_names_a_stale_soft_lock_which_can_be_removed(
    site: Site, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("filelock.FileLock", SoftFileLock)  # filelock does this on a file system without locks.
    monkeypatch.setenv("ZOO_MAX_LOCK_SECONDS", "0")
    url = site.put("/file", CONTENT)
    stale = cache_folder() / "locks" / "file.bin.lock"
    stale.parent.mkdir(parents=True)
    stale.touch()
    with pytest.raises(DownloadError, match="another process has been fetching it"):
        get(url, target)
    stale.unlink()
    assert get(url, target) == CONTENT
    assert not stale.exists()
