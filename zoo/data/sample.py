"""A labeled image of a data set."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from zoo.data.listing import ImageFile


@dataclass(frozen=True, slots=True)
class Sample:
    """An image file with its label."""

    file: ImageFile
    #: Index of the class in ``Images.classes``.
    label: int
    #: SHA-256 of the file's bytes, or of its name and state if it was not examined.
    digest: bytes
    #: Whether the image was decoded before the first step.
    is_examined: bool = True

    @property
    def path(self) -> Path:
        """The path of the image."""
        return self.file.path


def are_weighted(samples: Iterable[Sample]) -> bool:
    """Return whether any image has a loss weight other than 1."""
    return any(sample.file.loss_weight != 1 for sample in samples)
