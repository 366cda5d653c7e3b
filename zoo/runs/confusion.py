"""The confusion matrix of a split, in either of its forms in run.json."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

#: Maximum difference between an accuracy and the fraction that the confusion matrix gives.
_ROUNDING = 1e-6


def list_entries(confusion: Sequence[Sequence[int]] | Mapping[str, Sequence[int]]) -> list[tuple[int, int, int]]:
    """List the true class, the predicted class and the count of each nonzero entry of a confusion matrix.

    Args:
        confusion: The matrix in either of its forms in run.json.
    """
    if isinstance(confusion, Mapping):
        return list(zip(confusion["true"], confusion["predicted"], confusion["images"], strict=True))
    return [
        (truth, predicted, count) for truth, row in enumerate(confusion) for predicted, count in enumerate(row) if count
    ]


def is_consistent(metrics: Mapping[str, Any], classes: Sequence[str]) -> bool:
    """Return whether the metrics of a split belong to these classes, and whether their numbers agree.

    Args:
        metrics: Metrics of the type `zoo.files.schema.Metrics`.
        classes: Names of the classes.
    """
    confusion, count = metrics["confusion"], len(classes)
    if isinstance(confusion, Mapping):
        is_complete = len({len(column) for column in confusion.values()}) == 1
    else:
        is_complete = len(confusion) == count and all(len(row) == count for row in confusion)
    if not is_complete or list(metrics["per_class"]) != list(classes):
        return False
    entries = list_entries(confusion)
    in_range = all(truth < count and predicted < count for truth, predicted, _ in entries)
    if not in_range or sum(images for _, _, images in entries) != metrics["images"]:
        return False
    correct = sum(images for truth, predicted, images in entries if truth == predicted)
    images_of = Counter[int]()
    for truth, _, images in entries:
        images_of[truth] += images
    return math.isclose(metrics["accuracy"], correct / max(1, metrics["images"]), abs_tol=_ROUNDING) and all(
        found["images"] == images_of[label] for label, found in enumerate(metrics["per_class"].values())
    )
