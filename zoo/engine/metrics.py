"""What predictions are worth, class by class."""

from __future__ import annotations

from collections.abc import Sequence
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
