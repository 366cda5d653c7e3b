"""Tables that list the images of a folder with their weights."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path


def write_table(path: Path, folder: Path, weigh: Callable[[int], float]) -> Path:
    """Write a table of the images in ``folder``; ``weigh`` returns the weight of an image by its place in the table."""
    lines = ["path,label,split,sample_weight"]
    for place, image in enumerate(sorted(folder.rglob("*.png"))):
        lines.append(f"{image},{image.parent.name},{image.parts[-3]},{weigh(place)}")
    path.write_text("\n".join(lines), encoding="utf-8")
    return path
