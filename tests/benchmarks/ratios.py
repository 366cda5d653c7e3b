"""Figures of pairs: ratios with their spread, and whether two did the same work."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

#: Accuracies that differ by less are called equal.
CLOSE = 0.005


@dataclass(frozen=True)
class Spread:
    """A median and what lies around it."""

    median: float
    low: float
    high: float


def spread(values: Sequence[float]) -> Spread | None:
    """Return the median, the least and the greatest value; None where there is no value."""
    return Spread(median(values), min(values), max(values)) if values else None


def spread_ratios(pairs: Sequence[tuple[float, float]]) -> Spread | None:
    """Return the spread of the second of each pair over the first."""
    return spread([second / first for first, second in pairs if first > 0])


def describe_work(answer: dict[str, Any], *, images: int, epochs: int, batch_size: int) -> list[str]:
    """List in which way an answer's work is not the work that was asked for.

    Args:
        answer: what a peer said it did: ``images`` trained on in all epochs together, and ``epochs``.
        images: how many there are to train on.
        epochs: how often.
        batch_size: what is missing of an epoch and less than this is a last batch that was left out.
    """
    notes, missing = [], images * epochs - answer["images"]
    if answer["epochs"] != epochs:
        notes.append(f"UNEQUAL WORK: {answer['epochs']} epochs instead of {epochs}")
    if 0 < missing < batch_size * epochs:
        notes.append(f"drops the last, smaller batch: {answer['images']:,} of {images * epochs:,} images")
    elif missing:
        notes.append(f"UNEQUAL WORK: {answer['images']:,} images instead of {images * epochs:,}")
    return notes


def describe_accuracy(pairs: Sequence[tuple[float, float]]) -> str:
    """Say how the first's mean accuracy compares with the second's, in percentage points."""
    if not pairs:
        return ""
    difference = sum(first - second for first, second in pairs) / len(pairs)
    if abs(difference) < CLOSE:
        return "equal"
    return f"{difference * 100:+.1f}"
