"""Metrics of predictions, and the history of a run."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from zoo.engine.calibration import measure_calibration

#: Maximum number of classes for which the full confusion matrix is recorded. The matrix of 2,000 classes would have
#: four million entries, nearly all of them zero, and 44 MB in run.json.
MAX_MATRIX = 100


def measure(probabilities: Tensor, labels: Sequence[int], classes: Sequence[str]) -> dict[str, Any]:
    """Compute the accuracy, the metrics of each class, and the confusion matrix.

    Args:
        probabilities: Probabilities of shape (N, classes).
        labels: Indices of the N true classes.
        classes: Names of the classes.

    Returns:
        A dictionary with ``accuracy``, ``balanced_accuracy`` (the mean recall of the classes that have images),
        ``images`` (N), ``calibration`` (see `zoo.engine.calibration`), ``per_class`` and ``confusion``. ``per_class``
        maps each class name to its ``images``, its ``precision`` (None if it was never predicted), its ``recall`` (None
        if it has no images), and its ``f1`` (None if either is None). In ``confusion``, rows are true classes and
        columns are predicted classes; if there are more than `MAX_MATRIX` classes, it lists only the nonzero entries,
        in the columns ``true``, ``predicted`` and ``images``.
    """
    truth = torch.tensor(labels, dtype=torch.int64)
    predicted = probabilities.argmax(1)
    count = len(classes)
    correct = _count(truth[predicted == truth], count)
    counts = zip(correct, _count(truth, count), _count(predicted, count), strict=True)
    per_class = {name: _measure_class(*numbers) for name, numbers in zip(classes, counts, strict=True)}
    recalls = [found["recall"] for found in per_class.values() if found["recall"] is not None]
    return {
        "accuracy": (predicted == truth).double().mean().item(),
        "balanced_accuracy": sum(recalls) / len(recalls) if recalls else None,
        "images": len(labels),
        "calibration": measure_calibration(probabilities, truth),
        "per_class": per_class,
        "confusion": _count_pairs(truth, predicted, count),
    }


def _count(labels: Tensor, count: int) -> list[int]:
    counts: list[int] = torch.bincount(labels, minlength=count).tolist()
    return counts


def _count_pairs(truth: Tensor, predicted: Tensor, count: int) -> list[list[int]] | dict[str, list[int]]:
    if count <= MAX_MATRIX:
        matrix: list[list[int]] = (
            torch.bincount(truth * count + predicted, minlength=count * count).reshape(count, count).tolist()
        )
        return matrix
    pairs, images = torch.stack([truth, predicted], 1).unique(dim=0, return_counts=True)  # type: ignore[no-untyped-call]  # torch does not declare it
    return {"true": pairs[:, 0].tolist(), "predicted": pairs[:, 1].tolist(), "images": images.tolist()}


def _measure_class(correct: int, images: int, predicted: int) -> dict[str, float | int | None]:
    return {
        "images": images,
        "precision": correct / predicted if predicted else None,
        "recall": correct / images if images else None,
        "f1": 2 * correct / (predicted + images) if predicted and images else None,
    }


@dataclass(frozen=True)
class Epoch:
    """The results of an epoch: one line of history.jsonl."""

    #: Number of the epoch, starting at 1.
    epoch: int
    train_loss: float
    train_accuracy: float
    val_loss: float
    val_accuracy: float
    #: Learning rate of the epoch's first step, in the parameter group with the highest learning rate.
    lr: float
    #: Duration of the training steps in seconds, including loading the images.
    train_seconds: float
    #: Duration of the full epoch in seconds.
    seconds: float
    #: Number of the phase, starting at 1.
    phase: int = 1

    @property
    def rank(self) -> tuple[float, float]:
        """Return the validation accuracy and the negative validation loss; the better of two epochs ranks higher."""
        return self.val_accuracy, -self.val_loss

    def is_better_than(self, other: Epoch | None) -> bool:
        """Return whether the validation accuracy is higher or, if both are equal, the validation loss is lower."""
        return other is None or self.rank > other.rank

    def __str__(self) -> str:
        return (
            f"epoch {self.epoch}: train loss {self.train_loss:.4f} accuracy {self.train_accuracy:.3f}, "
            f"val loss {self.val_loss:.4f} accuracy {self.val_accuracy:.3f} ({self.seconds:.1f} s)"
        )


def find_best(history: Iterable[Epoch]) -> Epoch | None:
    """Return the best epoch (the earliest in case of a tie), or None if there are no epochs."""
    return max(history, key=lambda epoch: epoch.rank, default=None)
