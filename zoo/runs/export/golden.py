"""Golden images: small drawn images beside an export, with the probabilities that the run gives for them.

They let people who use the export in another language or runtime check their results. The images are drawn, because
the user's photos may not be meant for those people.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from PIL import Image

from zoo.data.channels import RGB, count_decoded
from zoo.progress.printable import escape_json

FOLDER, PROBABILITIES = "golden", "probabilities.json"
#: Height and width of each image: a wide one, a high one, and one that is smaller than most inputs.
SIZES = ((301, 457), (613, 227), (97, 131))
_SEED = 2026


def draw_golden(folder: Path, channels: int = RGB) -> list[Path]:
    """Draw the images into a new folder, and return their paths.

    They have smooth and fine structures, and a different brightness in each channel, so that a wrong interpolation or a
    wrong order of the channels has an effect. They are PNGs in RGB; for an input with neither 1 nor 3 channels, they
    are .npy files with its channels.
    """
    folder.mkdir()
    random = np.random.default_rng(_SEED)
    paths, count = [], count_decoded(channels)
    for number, (height, width) in enumerate(SIZES):
        down, across = np.mgrid[:height, :width]
        waves = [np.sin(down / (3 + 9 * i) + number) * np.cos(across / (2 + 7 * i)) for i in range(count)]
        light = np.resize([170, 120, 70], count)
        noisy = np.stack(waves, axis=2) * 70 + light + random.normal(0, 25, (height, width, count))
        pixels = noisy.clip(0, 255).astype(np.uint8)
        path = folder / f"{number + 1}.{'png' if count == RGB else 'npy'}"
        if count == RGB:
            Image.fromarray(pixels).save(path)
        else:
            np.save(path, pixels)
        paths.append(path)
    return paths


def write_probabilities(folder: Path, paths: list[Path], classes: tuple[str, ...], rows: list[list[float]]) -> None:
    """Write the probabilities of each image by class."""
    content = {path.name: dict(zip(classes, row, strict=True)) for path, row in zip(paths, rows, strict=True)}
    text = escape_json(json.dumps(content, indent=2, ensure_ascii=False))
    (folder / PROBABILITIES).write_text(text + "\n", encoding="utf-8", errors="backslashreplace")
