"""Freed memory stays in the process until it is returned to the system."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from zoo.engine import allocator as heap
from zoo.engine.allocator import VARIABLES

gnu = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="needs the GNU C library")

MEBIBYTES = 256
#: A script that repeatedly allocates and frees a block of the same size. It prints the number of page faults, and the
#: number of pages that `return_freed_memory` returns to the system.
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
from zoo.engine.allocator import return_freed_memory
return_freed_memory()
print("answer", faults, kept - count_pages())
""".replace("SIZE", str(MEBIBYTES * 2**20))
PAGES = MEBIBYTES * 2**20 // os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 0


def run(begin: str, folder: Path | None = None, **variables: str) -> tuple[int, int]:
    """Return the number of page faults, and the number of pages that `return_freed_memory` returned to the system."""
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


#: A script that runs a command until the command fails because there are no images.
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
IMPORT = "from zoo.engine.allocator import keeping_freed_memory"
KEEP = "from zoo.engine.allocator import keep_freed_memory; keep_freed_memory()"


@gnu
def test_by_default_malloc_returns_large_blocks_at_once() -> None:
    faults, given_back = run("")
    assert faults >= 4 * PAGES // 512  # with huge pages, there is one page fault per 512 pages
    assert given_back < PAGES // 2


@gnu
@pytest.mark.parametrize("tunables", ["", "glibc.pthread.rseq=0"])
def test_freed_memory_is_kept_until_it_is_returned(tunables: str) -> None:
    faults, given_back = run(KEEP, GLIBC_TUNABLES=tunables)
    assert faults < PAGES // 512
    assert given_back > PAGES * 0.9


@pytest.mark.breadth
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
def test_commands_that_run_a_model_keep_freed_memory(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    assert run(COMMAND.format(arguments), tmp_path)[0] < PAGES // 512


@gnu
@pytest.mark.parametrize(
    ("name", "value"),
    [
        pytest.param("MALLOC_TRIM_THRESHOLD_", "131072", marks=pytest.mark.breadth),
        pytest.param("MALLOC_MMAP_THRESHOLD_", "131072", marks=pytest.mark.breadth),
        pytest.param("MALLOC_MMAP_MAX_", "65536", marks=pytest.mark.breadth),
        ("GLIBC_TUNABLES", "glibc.malloc.mmap_max=65536"),
    ],
)
def test_malloc_settings_of_the_user_are_respected(name: str, value: str) -> None:
    assert run(KEEP, **{name: value})[0] >= 4 * PAGES // 512


@gnu
def test_freed_memory_is_kept_within_a_context() -> None:
    assert run(f"{IMPORT}; context = keeping_freed_memory(); context.__enter__()")[0] < PAGES // 512


@gnu
def test_after_the_context_large_blocks_are_returned_at_once() -> None:
    assert run(f"{IMPORT}\nwith keeping_freed_memory(): pass")[0] >= 4 * PAGES // 512


@gnu
def test_the_context_changes_nothing_if_the_process_keeps_freed_memory() -> None:
    assert run(f"{KEEP}\n{IMPORT}\nwith keeping_freed_memory(): pass")[0] < PAGES // 512


def test_other_c_libraries_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heap, "_find_library", lambda: None)
    monkeypatch.setattr(heap, "_tuned", [])  # regardless of what ran in this process before
    heap.keep_freed_memory()
    heap.return_freed_memory()
    assert heap._tuned == []


@pytest.mark.skipif(sys.platform == "linux", reason="needs a system other than Linux")
def test_other_systems_have_no_gnu_malloc() -> None:
    assert heap._find_library() is None


@gnu
def test_give_back_does_nothing_if_nothing_was_tuned() -> None:
    assert (
        run("from zoo.engine import allocator; allocator.keep_freed_memory(); allocator._tuned.clear()")[1] < PAGES // 2
    )
