"""A run from Python keeps freed memory only until it ends."""

from __future__ import annotations

import platform
from pathlib import Path

import pytest

from quick_runs import QUICK
from zoo.engine import allocator
from zoo.progress import Silent
from zoo.registry.registry import Registry
from zoo.training.finetune import finetune


class Watching(Silent):
    """Notes whether the process keeps freed memory when an epoch ends."""

    def __init__(self) -> None:
        self.kept: list[bool] = []

    def say(self, line: str) -> None:
        if line.startswith("epoch"):
            self.kept.append(bool(allocator._tuned))


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="needs the GNU C library")
def test_a_run_from_python_keeps_freed_memory_until_it_ends(
    registry: Registry, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(allocator, "_tuned", [])  # regardless of what ran in this process before
    for name in (*allocator.VARIABLES, "GLIBC_TUNABLES"):
        monkeypatch.delenv(name, raising=False)
    progress = Watching()
    finetune("net", photos, output=tmp_path / "run", registry=registry, progress=progress, **QUICK)
    assert progress.kept == [True]
    assert allocator._tuned == []
