"""Memory that is freed stays with the process that computes, until it is given back."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from zoo.engine import allocator as heap
from zoo.engine.allocator import VARIABLES

gnu = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="no GNU C library here")

MEBIBYTES = 256
#: Makes and frees a block of the same size again and again, and prints how many of its pages came anew; then how many
#: pages of it are there when it is freed, and when it was given back.
CODE = """
import resource, sys
BEGIN
import ctypes
libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
libc.malloc.argtypes, libc.free.argtypes = [ctypes.c_size_t], [ctypes.c_void_p]
libc.memset.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t]

def use():
    block = libc.malloc(SIZE)
    libc.memset(block, 1, SIZE)
    libc.free(block)

def count_faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

def count_pages():
    return int(open("/proc/self/statm").read().split()[1])

use()
before = count_faults()
for _ in range(4):
    use()
faults, kept = count_faults() - before, count_pages()
from zoo.engine.allocator import give_back
give_back()
print("answer", faults, kept - count_pages())
""".replace("SIZE", str(MEBIBYTES * 2**20))
PAGES = MEBIBYTES * 2**20 // os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 0


def run(begin: str, folder: Path | None = None, **variables: str) -> tuple[int, int]:
    """Return how many pages came anew, and how many went when they were given back."""
    clean = {name: value for name, value in os.environ.items() if name not in (*VARIABLES, "GLIBC_TUNABLES")}
    code = CODE.replace("BEGIN", begin)
    result = subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,
        env=clean | variables,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    faults, given_back = map(int, result.stdout.rpartition("answer")[2].split())
    return faults, given_back


#: As far as a command comes that finds no images.
COMMAND = """
from click import ClickException
from zoo.cli import cli
try:
    cli.main({}, standalone_mode=False)
except ClickException as error:
    assert "none" in str(error)
else:
    raise AssertionError
"""
KEEP = "from zoo.engine.allocator import keep_freed; keep_freed()"


@gnu
def test_by_itself_the_library_gives_large_blocks_back_at_once() -> None:
    faults, given_back = run("")
    assert faults >= 4 * PAGES // 512  # as many as that where all pages are huge ones
    assert given_back < PAGES // 2


@gnu
@pytest.mark.parametrize("tunables", ["", "glibc.pthread.rseq=0"])
def test_what_was_freed_is_kept_for_the_next_block_until_it_is_given_back(tunables: str) -> None:
    faults, given_back = run(KEEP, GLIBC_TUNABLES=tunables)
    assert faults < PAGES // 512
    assert given_back > PAGES * 0.9


@gnu
@pytest.mark.parametrize(
    "arguments",
    [
        ("finetune", "tiny", "--data", "none"),
        ("lr-find", "tiny", "--data", "none"),
        ("evaluate", "none", "--data", "none"),
        ("predict", "none", "none"),
    ],
    ids=lambda arguments: arguments[0],
)
def test_commands_that_compute_keep_it(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    assert run(COMMAND.format(arguments), tmp_path)[0] < PAGES // 512


@gnu
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("MALLOC_TRIM_THRESHOLD_", "131072"),
        ("MALLOC_MMAP_THRESHOLD_", "131072"),
        ("MALLOC_MMAP_MAX_", "65536"),
        ("GLIBC_TUNABLES", "glibc.malloc.mmap_max=65536"),
    ],
)
def test_who_has_chosen_otherwise_is_obeyed(name: str, value: str) -> None:
    assert run(KEEP, **{name: value})[0] >= 4 * PAGES // 512


def test_with_another_c_library_nothing_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heap, "_find_library", lambda: None)
    monkeypatch.setattr(heap, "_keeping", [])  # whatever ran in this process before
    heap.keep_freed()
    heap.give_back()
    assert heap._keeping == []


@pytest.mark.skipif(sys.platform == "linux", reason="this is Linux")
def test_other_systems_have_another_c_library() -> None:
    assert heap._find_library() is None


@gnu
def test_who_keeps_nothing_gives_nothing_back() -> None:
    assert run("from zoo.engine import allocator; allocator.keep_freed(); allocator._keeping.clear()")[1] < PAGES // 2
