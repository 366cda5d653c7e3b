"""Measure the time and memory of runs with a growing number of images.

    python tests/benchmarks/scale.py FOLDER [1000 10000 100000]

Runs ``zoo finetune tiny`` for one epoch each with an empty cache, with cached features, and with all parameters
trained. The images are synthetic JPEG images of 64 x 64 pixels. They are kept in the folder for the next measurement.
"""

from __future__ import annotations

import os
import shutil
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from torch import Tensor
from torchvision.io import encode_jpeg

from measure import measure

SIDE = 64
#: Number of images that are generated at a time, and number of training images per validation image.
CHUNK, SHARE = 1000, 10
CLASSES = ("cold", "warm")
TIMEOUT = 3600
CASES = {
    "`--train head`, first run": (),
    "`--train head`, cached features": (),
    "`--train all`": ("--train", "all"),
}


def generate(folder: Path, count: int) -> None:
    """Generate ``count`` training images, and a tenth of that number of validation images."""
    for split, number in (("train", count), ("val", max(count // SHARE, len(CLASSES)))):
        for label, name in enumerate(CLASSES):
            (folder / split / name).mkdir(parents=True, exist_ok=True)
            for index, image in enumerate(_generate_class(label, split == "val", number // len(CLASSES))):
                data = encode_jpeg(image, quality=90).numpy().tobytes()
                (folder / split / name / f"{index:06}.jpg").write_bytes(data)


def _generate_class(label: int, is_val: bool, count: int) -> Iterator[Tensor]:  # noqa: FBT001
    """Yield smooth noise in the colors of a class, as uint8 of shape (3, SIDE, SIDE)."""
    generator = torch.Generator().manual_seed(2 * label + is_val)
    tint = torch.tensor([1.0, 0.0, -1.0]).reshape(1, 3, 1, 1) * (60 * label - 30)
    for start in range(0, count, CHUNK):
        coarse = torch.rand(min(CHUNK, count - start), 3, 8, 8, generator=generator) * 160 + 48 + tint
        yield from torch.nn.functional.interpolate(coarse, SIDE, mode="bilinear").clamp(0, 255).to(torch.uint8)


def prepare(folder: Path, count: int) -> Path:
    """Return a folder with this number of training images. If it does not exist, generate the images."""
    images = folder / f"images-{count}"
    if not images.is_dir():
        part = folder / f"images-{count}.part"
        shutil.rmtree(part, ignore_errors=True)
        generate(part, count)
        part.rename(images)
    return images


def main(folder: str, *counts: str) -> None:
    """Measure and print a table."""
    zoo = str(Path(sysconfig.get_path("scripts"), "zoo"))
    sys.stdout.write("| images | run | seconds | images/s | memory, MiB |\n|---|---|---|---|---|\n")
    for count in map(int, counts or ("1000", "10000", "100000")):
        images = prepare(Path(folder), count)
        with TemporaryDirectory(dir=folder) as scratch:
            for number, (name, flags) in enumerate(CASES.items()):
                command = [zoo, "finetune", "tiny", f"--data={images}", "--epochs=1", f"--output={scratch}/{number}"]
                environment = {**os.environ, "ZOO_CACHE": f"{scratch}/cache", "PYTHONWARNINGS": "ignore"}
                took = measure([*command, *flags], environment, Path(scratch, "log"), TIMEOUT)
                if not Path(scratch, str(number), "run.json").is_file():
                    sys.exit(f"{name}: {took.get('error')}")
                rate, memory = count * (1 + 1 / SHARE) / took["seconds"], (took["memory"] or 0) / 2**20
                sys.stdout.write(f"| {count:,} | {name} | {took['seconds']:.1f} | {rate:,.0f} | {memory:,.0f} |\n")
                sys.stdout.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
