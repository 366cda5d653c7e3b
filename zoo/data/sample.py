"""A labeled image of a data set."""

from __future__ import annotations

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
