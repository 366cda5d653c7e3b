"""The images for all runs: synthetic images that are as detailed as photos, or the user's own images."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

#: Size of a training set, and the number of training images per validation image.
COUNT, SHARE = 400, 2
#: Image size in pixels, typical of classic data sets.
WIDTH, HEIGHT = 500, 375
QUALITY = 92
CLASSES = ("cold", "warm")


def prepare(folder: Path, source: Path | None, count: int | None, python: Path) -> dict[str, int]:
    """Create ``folder`` with ``train`` and ``val`` unless it exists. Return the number of images in each.

    Args:
        folder: Folder to create.
        source: Folder with ``train`` and ``val``, or None to generate images.
        count: Number of training images. None means all images of the source, or 400 generated ones.
        python: A Python with numpy and Pillow.

    Raises:
        ValueError: If the folder contains different images.
    """
    asked, note = [source and str(source.resolve()), count], folder.with_suffix(".json")
    if folder.is_dir() and json.loads(note.read_text(encoding="utf-8")) != asked:
        raise ValueError(f"{folder} contains different images; choose a new --folder")
    if not folder.is_dir():
        note.write_text(json.dumps(asked), encoding="utf-8")
        part = folder.with_name(f"{folder.name}.part")
        shutil.rmtree(part, ignore_errors=True)
        if source is None:
            subprocess.run([python, __file__, str(part), str(count or COUNT)], check=True)
        else:
            copy(part, source, count)
        part.rename(folder)
    return {split: len(list(folder.glob(f"{split}/*/*"))) for split in ("train", "val")}


def copy(folder: Path, source: Path, count: int | None) -> None:
    """Copy the same number of JPEG files for each class. Peers do not all read the same other file types."""
    for split, most in (("train", count), ("val", count and max(count // SHARE, 1))):
        classes = sorted(path for path in (source / split).iterdir() if path.is_dir())
        for index, kind in enumerate(classes):
            photos = sorted(path for path in kind.iterdir() if path.suffix.lower() in (".jpg", ".jpeg"))
            (folder / split / kind.name).mkdir(parents=True)
            for photo in photos if most is None else photos[: len(range(index, most, len(classes)))]:
                shutil.copyfile(photo, folder / split / kind.name / photo.name)


def generate(folder: Path, count: int, val_count: int | None = None) -> None:
    """Generate ``count`` training images and ``val_count`` (default: half of that) validation images on all cores."""
    numbers = {"train": count, "val": max(count // SHARE, len(CLASSES)) if val_count is None else val_count}
    with ProcessPoolExecutor() as pool:
        pending = []
        for split, number in numbers.items():
            for index in range(number):
                kind = index % len(CLASSES)
                path = folder / split / CLASSES[kind] / f"{index:06}.jpg"
                path.parent.mkdir(parents=True, exist_ok=True)
                pending.append(pool.submit(generate_photo, path, [split == "val", index], 1 if kind else -1))
        for future in pending:
            future.result()  # raises any exception of the process


def generate_photo(path: Path, seed: list[int], warmth: int) -> None:
    """Generate noise with as much detail at every scale as a photo, in colors that usually reveal the class."""
    import numpy as np
    from PIL import Image

    generator = np.random.default_rng(seed)
    canvas = np.full((HEIGHT, WIDTH, 3), 120.0)
    for cells, height in scales():
        patch = generator.uniform(-height, height, (cells * 3 // 4, cells, 3)).astype(np.float32)
        for channel in range(3):
            layer = Image.fromarray(patch[:, :, channel]).resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC)
            canvas[:, :, channel] += np.asarray(layer)
    canvas += generator.normal(0, 15, 3) + np.array([1.0, 0.0, -1.0]) * warmth * generator.normal(12, 8)
    Image.fromarray(canvas.clip(0, 255).astype(np.uint8)).save(path, quality=QUALITY)


def scales() -> Iterator[tuple[int, float]]:
    """Yield the number of cells per row and the variation of brightness between them, from coarse to fine."""
    for octave in range(2, 9):
        yield 2**octave, 110 / 1.6 ** (octave - 2)


if __name__ == "__main__":
    generate(Path(sys.argv[1]), int(sys.argv[2]))
