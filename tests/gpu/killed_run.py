"""Start or resume a run with deterministic algorithms that kills itself after a given step.

python tests/gpu/killed_run.py BACKBONE PHOTOS OUTPUT DEVICE STEP    (with STEP 0, the run completes)
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import torch

import zoo
from zoo.training.callbacks import RunCallbacks


def kill_after(step: int) -> None:
    """Kill the process after this many steps."""
    on_step, taken = RunCallbacks.on_step, []

    def count(callbacks: RunCallbacks) -> None:
        on_step(callbacks)
        taken.append(1)
        if len(taken) == step:
            os.kill(os.getpid(), signal.SIGKILL)

    RunCallbacks.on_step = count  # type: ignore[method-assign,assignment]


def main(backbone: str, photos: str, output: str, device: str, step: str) -> None:
    """Start or resume the run."""
    # A warning is enough: if an operation is not deterministic, the comparison of the bytes will fail.
    torch.use_deterministic_algorithms(True, warn_only=True)
    kill_after(int(step))
    zoo.finetune(
        backbone,
        photos,
        output=Path(output),
        resume=True,
        weights="none",
        train="all",
        epochs=3,
        batch_size=8,
        device=device,
        save_every=2,
        ema=0.9,
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
