"""Collectives between processes and a sharded network work with the backend of the device."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import torch

HERE = Path(__file__).parent


def test_collectives_and_sharding_work_on_the_backend_of_the_device(
    device: torch.device, own_environment: Callable[..., dict[str, str]]
) -> None:
    paths = os.pathsep.join([str(HERE), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, HERE / "one_process.py", device.type],
        env=own_environment(PYTHONPATH=paths), capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    backend = "cuda:nccl" if device.type == "cuda" else "cpu:gloo"
    assert "checked over " in done.stdout
    assert backend in done.stdout
