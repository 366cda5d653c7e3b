"""Measure the memory of reading 200,000 images from shards, in a different order than that of the shards.

    python tests/benchmarks/shards_memory.py FOLDER [--images 200000]

FOLDER receives shards with images of 8 x 8 pixels. They are hard links to ten shards with different images, because
more different ones would only need more disk space. The memory is the largest resident size of the process after a
tenth of the images is read, and after all of them are read. The images are read as in the first epoch of a large data
set, through zoo's training batches, but no network is trained on them.
"""

from __future__ import annotations

import argparse
import io
import os
import resource
import sys
import tarfile
from pathlib import Path

import torch
from torchvision.io import encode_png

from zoo.data.loader import LoaderOptions, TrainBatches
from zoo.data.pixel_cache import Pixels
from zoo.data.sampler import Sampler
from zoo.data.source import list_images
from zoo.data.transform import build_train_transform
from zoo.data.unexamined import find_files
from zoo.plugin import InputSpec
from zoo.progress import Silent
from zoo.registry.data_options import DataOptions
from zoo.registry.registry import open_registry

#: Height and width in pixels, images per batch, images per shard, and number of different shards.
SIZE, BATCH, PER_SHARD, DIFFERENT = 8, 64, 1000, 10
#: Most megabytes that reading nine tenths of the images may add.
BOUND = 20


def write_shards(folder: Path, images: int) -> None:
    """Write the shards that do not exist yet."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(images // PER_SHARD):
        path = folder / f"train-{number:05}.tar"
        if path.exists():
            continue
        if number >= DIFFERENT:
            os.link(folder / f"train-{number % DIFFERENT:05}.tar", path)
            continue
        part = path.with_suffix(".part")
        with tarfile.open(part, "w") as shard:
            for index in range(number * PER_SHARD, (number + 1) * PER_SHARD):
                pixels = torch.randint(
                    256, (3, SIZE, SIZE), dtype=torch.uint8, generator=torch.Generator().manual_seed(index)
                )
                add(shard, f"{index:07}.png", encode_png(pixels).numpy().tobytes())
                add(shard, f"{index:07}.cls", str(index % 10).encode())
        part.rename(path)


def add(shard: tarfile.TarFile, name: str, content: bytes) -> None:
    """Add a member to a shard."""
    member = tarfile.TarInfo(name)
    member.size = len(content)
    shard.addfile(member, io.BytesIO(content))


def read_peak() -> int:
    """Return the largest resident size of this process so far, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def main() -> None:
    """Read all images, print the memory, and exit with 1 if it grew by more than the bound."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--images", type=int, default=200_000)
    options = parser.parse_args()
    write_shards(options.folder, options.images)
    listing = list_images(options.folder, DataOptions(), registry=open_registry(), progress=Silent())
    labels = {name: label for label, name in enumerate(listing.classes)}
    samples, _ = find_files(listing.files, labels, Silent())
    transform = build_train_transform(InputSpec(size=(3, SIZE, SIZE), resize=SIZE), "crop-flip")
    loading = LoaderOptions(batch_size=BATCH, workers=1, ahead=3)
    batches = TrainBatches(samples, Pixels(transform, 0), loading, Sampler(BATCH, 0))
    print(f"0 images read: {read_peak() / 1e6:.1f} MB")  # noqa: T201
    peaks: list[tuple[int, int]] = []
    count = 0
    for images, _ in batches.epoch(0):
        count += len(images)
        if len(peaks) < 10 * count // options.images:
            peaks.append((count, read_peak()))
            print(f"{count:,} images read: {peaks[-1][1] / 1e6:.1f} MB", flush=True)  # noqa: T201
    batches.close()
    grown = (peaks[-1][1] - peaks[0][1]) / 1e6
    print(f"{grown:.1f} MB more after {peaks[-1][0]:,} images than after {peaks[0][0]:,}")  # noqa: T201
    if grown > BOUND:
        sys.exit(f"reading images may add {BOUND} MB")


if __name__ == "__main__":
    main()
