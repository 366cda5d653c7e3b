"""Fixtures that run the command line as the console script does, and a run folder for the commands."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from zoo.cli import main

Main = Callable[..., int]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Main:
    """Run ``zoo`` with arguments in this process, and return the exit code."""
    monkeypatch.setattr("zoo.engine.allocator.keep_freed_memory", lambda: None)
    monkeypatch.setattr(gc, "freeze", lambda: None)  # a command is the only one in its process

    def run(*arguments: str | Path) -> int:
        monkeypatch.setattr(sys, "argv", ["zoo", *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            main()
        assert isinstance(end.value.code, int)
        return end.value.code

    return run


@pytest.fixture
def folder(train_once: Callable[..., Path]) -> Path:
    """A run folder that takes a moment to train."""
    return train_once(weights="none", epochs=1, batch_size=8, workers=0, device="cpu")


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A --config file that makes zoo load images in this thread."""
    path = tmp_path / "zoo.toml"
    path.write_text("workers = 0\n", encoding="utf-8")
    return path
