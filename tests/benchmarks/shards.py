"""Compare the speed of loading shards with that of a plain webdataset loop, in turns, in images per second.

The result is the median of the ratios of the rounds, because other programs may slow down a whole round.

    python tests/benchmarks/shards.py PHOTOS FOLDER [--rounds 5] [--workers 2]

PHOTOS is a folder of images, and FOLDER receives the shards. This needs ``pip install webdataset``.
"""

from __future__ import annotations

import argparse
import io
import statistics
import sys
import tarfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
import webdataset
from PIL import Image
from torchvision.transforms import v2

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

SIZE, BATCH = 224, 32
#: Least speed of zoo, as a multiple of the speed of webdataset.
LEAST = 0.9


def main() -> None:
    """Pack the shards if necessary, load them in turns, and print the speeds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("photos", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--count", type=int, default=2000)
    options = parser.parse_args()
    pack(options.photos, options.folder, options.count)
    loops: dict[str, Callable[[], Iterator[int]]] = {
        "zoo": lambda: load_with_zoo(options.folder, options.workers),
        "webdataset": lambda: load_with_webdataset(options.folder, options.workers),
    }
    speeds: dict[str, list[float]] = {name: [] for name in loops}
    for number in range(options.rounds):
        for name, load in loops.items():
            started = time.perf_counter()
            total = sum(load())
            speeds[name].append(total / (time.perf_counter() - started))
            print(f"round {number + 1}: {name} {speeds[name][-1]:.0f} images/s ({total} images)", flush=True)  # noqa: T201
    ratios = [ours / theirs for ours, theirs in zip(speeds["zoo"], speeds["webdataset"], strict=True)]
    ratio = statistics.median(ratios)
    shown = ", ".join(f"{found:.2f}" for found in sorted(ratios))
    print(f"zoo loads {ratio:.2f} times as many images per second as webdataset (median of {shown})")  # noqa: T201
    if ratio < LEAST:
        sys.exit(f"zoo should load at least {LEAST} times as many")


def pack(photos: Path, folder: Path, count: int, per_shard: int = 500) -> None:
    """Write shards with ``count`` images, repeating the photos."""
    if folder.exists():
        return
    folder.mkdir(parents=True)
    paths = sorted(path for path in photos.rglob("*") if path.suffix == ".jpg")
    for first in range(0, count, per_shard):
        with tarfile.open(folder / f"train-{first // per_shard:04}.tar", "w") as shard:
            for number in range(first, min(first + per_shard, count)):
                path = paths[number % len(paths)]
                add(shard, f"{number:07}.jpg", path.read_bytes())
                add(shard, f"{number:07}.cls", str(number % 2).encode())


def add(shard: tarfile.TarFile, name: str, content: bytes) -> None:
    """Add a member to a shard."""
    member = tarfile.TarInfo(name)
    member.size = len(content)
    shard.addfile(member, io.BytesIO(content))


def load_with_zoo(folder: Path, workers: int) -> Iterator[int]:
    """Yield the sizes of zoo's training batches, which are cropped and flipped at random."""
    listing = list_images(folder, DataOptions(), registry=open_registry(), progress=Silent())
    labels = {name: label for label, name in enumerate(listing.classes)}
    samples, _ = find_files(listing.files, labels, Silent())
    transform = build_train_transform(InputSpec(size=(3, SIZE, SIZE)), "crop-flip")
    loading = LoaderOptions(batch_size=BATCH, workers=workers, ahead=3)
    batches = TrainBatches(samples, Pixels(transform, 0), loading, Sampler(BATCH, 0))
    for images, _ in batches.epoch(0):
        yield len(images)
    batches.close()


def load_with_webdataset(folder: Path, workers: int) -> Iterator[int]:
    """Yield the sizes of batches of webdataset with the same random crops and flips, as its documentation shows."""
    transform = v2.Compose([v2.PILToTensor(), v2.RandomResizedCrop(SIZE, scale=(0.35, 1)), v2.RandomHorizontalFlip()])

    def prepare(data: bytes) -> torch.Tensor:
        cropped: torch.Tensor = transform(Image.open(io.BytesIO(data)).convert("RGB"))
        return cropped

    shards = [str(path) for path in sorted(folder.glob("*.tar"))]
    data = (
        webdataset.WebDataset(shards, shardshuffle=len(shards), seed=0)
        .shuffle(1000)
        .to_tuple("jpg", "cls")
        .map_tuple(prepare, int)
        .batched(BATCH)
    )
    for images, _ in webdataset.WebLoader(data, batch_size=None, num_workers=workers):
        yield len(images)


if __name__ == "__main__":
    main()
