from __future__ import annotations

import fcntl
import os
from pathlib import Path

import pytest

from quick_runs import QUICK
from zoo.errors import RunError
from zoo.registry.registry import Registry
from zoo.runs.lock import RunLock
from zoo.training.callbacks import RunCallbacks
from zoo.training.finetune import finetune


def hold_elsewhere(folder: Path) -> int:
    """Lock a folder as another process does: by a descriptor of its own."""
    descriptor = os.open(folder, os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    return descriptor


def test_what_another_process_holds_is_refused_and_free_when_it_is_gone(tmp_path: Path) -> None:
    descriptor = hold_elsewhere(tmp_path)
    with pytest.raises(RunError, match="another process is working on"), RunLock() as lock:
        lock.take(tmp_path)
    os.close(descriptor)
    with RunLock() as lock:
        lock.take(tmp_path)
        lock.take(tmp_path)  # It is locked already.
        with pytest.raises(BlockingIOError):
            hold_elsewhere(tmp_path)
    os.close(hold_elsewhere(tmp_path))


def test_a_run_is_held_while_it_is_under_way(
    registry: Registry, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    on_step, refused = RunCallbacks.on_step, []

    def try_to_hold(watch: RunCallbacks) -> None:
        on_step(watch)
        with pytest.raises(BlockingIOError):
            hold_elsewhere(tmp_path / "run")
        refused.append(True)

    monkeypatch.setattr(RunCallbacks, "on_step", try_to_hold)
    finetune("net", photos, output=tmp_path / "run", registry=registry, **QUICK)
    assert len(refused) == 3
    os.close(hold_elsewhere(tmp_path / "run"))


def test_a_run_that_another_process_goes_on_with_is_left_to_it(
    registry: Registry, photos: Path, tmp_path: Path
) -> None:
    output = tmp_path / "run"
    finetune("net", photos, output=output, registry=registry, **QUICK)
    (output / "run.json").unlink()
    (output / "checkpoints").mkdir()
    partial = output / "checkpoints" / ".partial-0a-00000003.safetensors"
    partial.touch()
    descriptor = hold_elsewhere(output)
    with pytest.raises(RunError, match="another process is working on"):
        finetune("net", photos, output=output, resume=True, registry=registry, **QUICK)
    assert partial.exists()  # it may be writing it just now
    os.close(descriptor)
