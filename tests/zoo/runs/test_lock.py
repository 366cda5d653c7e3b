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


def lock_elsewhere(folder: Path) -> int:
    """Lock a folder through a new descriptor, which has the same effect as a lock of another process."""
    descriptor = os.open(folder, os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    return descriptor


def test_a_locked_folder_is_refused_until_it_is_released(tmp_path: Path) -> None:
    descriptor = lock_elsewhere(tmp_path)
    with pytest.raises(RunError, match="another process is working on"), RunLock() as lock:
        lock.take(tmp_path)
    os.close(descriptor)
    with RunLock() as lock:
        lock.take(tmp_path)
        lock.take(tmp_path)  # It is locked already.
        with pytest.raises(BlockingIOError):
            lock_elsewhere(tmp_path)
    os.close(lock_elsewhere(tmp_path))


def test_a_run_locks_its_folder_until_it_is_finished(
    registry: Registry, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    on_step, refused = RunCallbacks.on_step, []

    def try_to_lock(callbacks: RunCallbacks) -> None:
        on_step(callbacks)
        with pytest.raises(BlockingIOError):
            lock_elsewhere(tmp_path / "run")
        refused.append(True)

    monkeypatch.setattr(RunCallbacks, "on_step", try_to_lock)
    finetune("net", photos, output=tmp_path / "run", registry=registry, **QUICK)
    assert len(refused) == 3
    os.close(lock_elsewhere(tmp_path / "run"))


def test_a_run_that_another_process_is_resuming_is_left_unchanged(
    registry: Registry, photos: Path, tmp_path: Path
) -> None:
    output = tmp_path / "run"
    finetune("net", photos, output=output, registry=registry, **QUICK)
    (output / "run.json").unlink()
    (output / "checkpoints").mkdir()
    partial = output / "checkpoints" / ".partial-0a-00000003.safetensors"
    partial.touch()
    descriptor = lock_elsewhere(output)
    with pytest.raises(RunError, match="another process is working on"):
        finetune("net", photos, output=output, resume=True, registry=registry, **QUICK)
    assert partial.exists()  # The other process may be writing it.
    os.close(descriptor)
