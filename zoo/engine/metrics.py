"""What predictions are worth, class by class."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor


def measure(probabilities: Tensor, labels: Sequence[int], classes: Sequence[str]) -> dict[str, Any]:
    """Measure predictions.

    Args:
        probabilities: of shape (N, classes).
        labels: the N true classes.
        classes: their names.

    Returns:
        ``accuracy``; ``per_class``, by name: ``images``, ``precision`` and ``recall`` (None where nothing was
        predicted or nothing was there); ``confusion``: rows are true classes, columns predicted ones.
    """
    truth = torch.tensor(labels, dtype=torch.int64)
    predicted = probabilities.argmax(1)
    count = len(classes)
    confusion = torch.bincount(truth * count + predicted, minlength=count * count).reshape(count, count)
    return {
        "accuracy": (predicted == truth).double().mean().item(),
        "images": len(labels),
        "per_class": {name: _measure_class(confusion, index) for index, name in enumerate(classes)},
        "confusion": confusion.tolist(),
    }


def _measure_class(confusion: Tensor, index: int) -> dict[str, float | int | None]:
    right = int(confusion[index, index])
    there, said = int(confusion[index].sum()), int(confusion[:, index].sum())
    return {
        "images": there,
        "precision": right / said if said else None,
        "recall": right / there if there else None,
    }


@dataclass(frozen=True)
class Epoch:
    """What one epoch came to; a line of history.jsonl."""

    epoch: int
    train_loss: float
    train_accuracy: float
    val_loss: float
    val_accuracy: float
    #: The highest rate of the epoch's first step.
    lr: float
    #: Of the training steps alone, loading of images included.
    train_seconds: float
    #: Of the whole epoch.
    seconds: float
    #: Which phase it belongs to, from 1.
    phase: int = 1

    @property
    def rank(self) -> tuple[float, float]:
        """Return the validation accuracy and the negative validation loss; the better of two epochs ranks higher."""
        return self.val_accuracy, -self.val_loss

    def is_better_than(self, other: Epoch | None) -> bool:
        """Compare by validation accuracy, and by validation loss if the accuracies are equal."""
        return other is None or self.rank > other.rank

    def __str__(self) -> str:
        return (
            f"epoch {self.epoch}: train loss {self.train_loss:.4f} accuracy {self.train_accuracy:.3f}, "
            f"val loss {self.val_loss:.4f} accuracy {self.val_accuracy:.3f} ({self.seconds:.1f} s)"
        )


def find_best(history: Iterable[Epoch]) -> Epoch | None:
    """Return the best epoch, the first one of equals, or None if there are no epochs."""
    return max(history, key=lambda epoch: epoch.rank, default=None)
