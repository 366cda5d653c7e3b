"""The job of each script, given as JSON on the command line, and its answer, printed as JSON in the last line."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Job:
    """The work to do."""

    #: ``frozen``, ``vgg`` or ``full``.
    workload: str
    #: Names of the network in torchvision and timm.
    model: str
    timm_model: str
    #: Folder with ``train`` and ``val``, which have a folder for each class.
    data: Path
    #: Empty folder.
    output: Path
    epochs: int
    batch_size: int
    #: Height and width of an image in pixels.
    size: int
    seed: int
    device: str
    #: Weights files for torchvision's network and for timm's. None means random weights.
    weights: Path | None
    timm_weights: Path | None
    #: timm's training script, which its distribution does not contain.
    timm_train: Path | None

    @property
    def classes(self) -> list[str]:
        """Return the sorted names of the classes."""
        return sorted(path.name for path in (self.data / "train").iterdir())


def read_job() -> Job:
    """Return the job in the first argument."""
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
    """Print the answer.

    Args:
        images: Number of images trained on, in all epochs together.
        epochs: Number of epochs.
        learning: Number of trained parameters.
        accuracies: Validation accuracy after each epoch, from 0 to 1.
        aside: Seconds that are not part of the work.
        steps: Seconds of the training steps alone, if known.
        epoch_seconds: Seconds of each training epoch without validation, if known.
    """
    accuracy = {"best": max(accuracies), "last": accuracies[-1]} if accuracies else None
    work = {"images": images, "epochs": epochs, "learning": learning}
    line = {**work, "accuracy": accuracy, "aside": aside, "steps": steps, "epoch_seconds": [*epoch_seconds]}
    sys.stdout.write(f"\n{json.dumps(line)}\n")
