"""The job of a script, passed as JSON on the command line, and its answer, printed as JSON on the last line."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Job:
    """The training that a script must do."""

    #: ``frozen``, ``vgg`` or ``full``.
    workload: str
    #: Names of the network in torchvision and timm.
    model: str
    timm_model: str
    #: Folder with ``train`` and ``val``, each of which has one folder per class.
    data: Path
    #: Empty folder for the files that the script writes.
    output: Path
    epochs: int
    batch_size: int
    #: Height and width of an image in pixels.
    size: int
    seed: int
    device: str
    #: Weights files for torchvision's network and for timm's network. None means random weights.
    weights: Path | None
    timm_weights: Path | None
    #: Path of timm's training script, which timm's distribution does not contain.
    timm_train: Path | None

    @property
    def classes(self) -> list[str]:
        """The sorted names of the classes."""
        return sorted(path.name for path in (self.data / "train").iterdir())


def read_job() -> Job:
    """Read the job from the first command-line argument."""
    fields: dict[str, Any] = json.loads(sys.argv[1])
    paths = ("data", "output", "weights", "timm_weights", "timm_train")
    return Job(**{key: Path(value) if key in paths and value else value for key, value in fields.items()})


def print_answer(
    *,
    images: int,
    epochs: int,
    learning: int,
    accuracies: Sequence[float] = (),
    aside: float = 0.0,
    steps: float | None = None,
    epoch_seconds: Sequence[float] = (),
) -> None:
    """Print the answer.

    Args:
        images: Number of images trained on, in all epochs together.
        epochs: Number of epochs.
        learning: Number of trainable parameters.
        accuracies: Validation accuracy after each epoch, from 0 to 1.
        aside: Seconds that do not count as work.
        steps: Duration of the training steps alone in seconds, if known.
        epoch_seconds: Duration of each training epoch without validation in seconds, if known.
    """
    accuracy = {"best": max(accuracies), "last": accuracies[-1]} if accuracies else None
    work = {"images": images, "epochs": epochs, "learning": learning}
    line = {**work, "accuracy": accuracy, "aside": aside, "steps": steps, "epoch_seconds": [*epoch_seconds]}
    sys.stdout.write(f"\n{json.dumps(line)}\n")
