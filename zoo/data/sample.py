"""A labeled image of a data set."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Sample:
    """An image file with its label."""

    path: Path
    #: Index of the class in ``Images.classes``.
    label: int
    #: SHA-256 of the file's bytes in hex.
    digest: str
    #: Factor of the image's loss in training, above 0.
    weight: float = 1.0


def are_weighted(samples: Iterable[Sample]) -> bool:
    """Return whether any image has a weight other than 1."""
    return any(sample.weight != 1 for sample in samples)
