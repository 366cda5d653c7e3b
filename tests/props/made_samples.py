"""Samples of single image files."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

from zoo.data.listing import ImageFile
from zoo.data.sample import Sample


def make_sample(path: Path, label: int = 0) -> Sample:
    """Return a sample of an image file that was examined."""
    file = ImageFile(path.parent, path.name, "train", f"class {label}", path.name)
    return Sample(file, label, sha256(path.read_bytes()).digest())
