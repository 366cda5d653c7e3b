"""One image of a data set, with its label."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Sample:
    """One image with its answer."""

    path: Path
    #: Index in ``Images.classes``.
    label: int
    #: SHA-256 of the file's bytes, in hex.
    digest: str
