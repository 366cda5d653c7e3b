"""What each script here is given, on the command line, and what it prints at its end: a line of JSON each."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Job:
    """The work."""

    #: ``frozen``, ``vgg`` or ``full``.
    workload: str
    #: As torchvision calls the network, and as timm does.
    model: str
    timm_model: str
    #: A folder with ``train`` and ``val``, with a folder for each class.
    data: Path
    #: An empty folder.
    output: Path
    epochs: int
    batch_size: int
    #: Pixels of a side.
    size: int
    seed: int
    device: str
    #: Files with tensors under the names of torchvision's network, and of timm's; None: it starts from random ones.
    weights: Path | None
    timm_weights: Path | None
    #: timm's training script, which is not in its distribution.
    timm_train: Path | None

    @property
    def classes(self) -> list[str]:
        """The names of the classes, sorted."""
        return sorted(path.name for path in (self.data / "train").iterdir())


def read_job() -> Job:
    """Read the job from the first argument."""
    fields: dict[str, Any] = json.loads(sys.argv[1])
    paths = ("data", "output", "weights", "timm_weights", "timm_train")
    return Job(**{key: Path(value) if key in paths and value else value for key, value in fields.items()})


def tell(
    *,
    images: int,
    epochs: int,
    learning: int,
    accuracies: Sequence[float] = (),
    aside: float = 0.0,
    steps: float | None = None,
    epoch_seconds: Sequence[float] = (),
) -> None:
    """Print what was done.

    Args:
        images: how many were trained on, in all epochs together.
        epochs: how many there were.
        learning: how many parameters learnt.
        accuracies: on the validation images after each epoch, from 0 to 1.
        aside: seconds that were spent on something that is not the work.
        steps: seconds of the training steps alone, where they are known.
        epoch_seconds: seconds of each epoch's training, without validation, where they are known.
    """
    accuracy = {"best": max(accuracies), "last": accuracies[-1]} if accuracies else None
    work = {"images": images, "epochs": epochs, "learning": learning}
    line = {**work, "accuracy": accuracy, "aside": aside, "steps": steps, "epoch_seconds": [*epoch_seconds]}
    sys.stdout.write(f"\n{json.dumps(line)}\n")
