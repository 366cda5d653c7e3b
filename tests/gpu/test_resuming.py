"""A run that is killed and resumed writes the same bytes as an uninterrupted run."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

SCRIPT = Path(__file__).with_name("killed_run.py")
#: Fields in history.jsonl that may differ.
TIMES = ("seconds", "train_seconds")


@pytest.fixture
def run(
    network: str, photos: Path, device: torch.device, own_environment: Callable[..., dict[str, str]]
) -> Callable[[Path, int], int]:
    def begin(output: Path, step: int) -> int:
        # cuBLAS reads this variable before its first matrix product.
        environment = own_environment(CUBLAS_WORKSPACE_CONFIG=":4096:8")
        command: list[str | Path] = [sys.executable, SCRIPT, network, photos, output, device.type, str(step)]
        return subprocess.run(command, env=environment, check=False, timeout=120).returncode

    return begin


def read_history(output: Path) -> list[dict[str, Any]]:
    lines = map(json.loads, (output / "history.jsonl").read_text(encoding="utf-8").splitlines())
    return [{name: value for name, value in line.items() if name not in TIMES} for line in lines]


def test_a_killed_run_writes_the_same_bytes(run: Callable[[Path, int], int], tmp_path: Path) -> None:
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    assert run(whole, 0) == 0
    assert run(killed, 9) == -signal.SIGKILL  # in the second epoch, one step after a checkpoint
    assert not (killed / "run.json").exists()
    assert run(killed, 0) == 0
    assert (killed / "model.safetensors").read_bytes() == (whole / "model.safetensors").read_bytes()
    assert read_history(killed) == read_history(whole)
