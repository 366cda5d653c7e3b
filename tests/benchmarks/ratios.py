"""Statistics of pairs: the ratios with their range, and whether both sides did the same work."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

#: Difference in accuracy below which two accuracies are reported as equal.
CLOSE = 0.005


@dataclass(frozen=True)
class Spread:
    """A median with its range."""

    median: float
    low: float
    high: float


def spread(values: Sequence[float]) -> Spread | None:
    """Return the median, the minimum and the maximum, or None if there are no values."""
    return Spread(median(values), min(values), max(values)) if values else None


def spread_ratios(pairs: Sequence[tuple[float, float]]) -> Spread | None:
    """Return the spread of the ratios of the second value in each pair to the first."""
    return spread([second / first for first, second in pairs if first > 0])


def describe_work(answer: dict[str, Any], *, images: int, epochs: int, batch_size: int) -> list[str]:
    """List the differences between the work that a peer did and its job.

    Args:
        answer: The report of a peer: ``images``, the number trained on in all epochs together, and ``epochs``.
        images: Number of training images.
        epochs: Number of epochs.
        batch_size: Batch size. If fewer images than this are missing per epoch, the last batch was dropped.
    """
    notes, missing = [], images * epochs - answer["images"]
    if answer["epochs"] != epochs:
        notes.append(f"unequal work: {answer['epochs']} epochs instead of {epochs}")
    if 0 < missing < batch_size * epochs:
        notes.append(f"drops the last, smaller batch: {answer['images']:,} of {images * epochs:,} images")
    elif missing:
        notes.append(f"unequal work: {answer['images']:,} images instead of {images * epochs:,}")
    return notes


def describe_accuracy(pairs: Sequence[tuple[float, float]]) -> str:
    """Return by how many percentage points the first mean accuracy is above the second."""
    if not pairs:
        return ""
    difference = sum(first - second for first, second in pairs) / len(pairs)
    if abs(difference) < CLOSE:
        return "equal"
    return f"{difference * 100:+.1f}"
