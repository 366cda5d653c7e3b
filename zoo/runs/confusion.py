"""The confusion matrix of a split, in either of its forms in run.json."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


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
    return in_range and sum(images for _, _, images in entries) == metrics["images"]
