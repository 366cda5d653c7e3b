"""Measure the pieces from which docs/explanation/scale.md calculates, on one core.

    python tests/benchmarks/pieces.py FOLDER

FOLDER contains photos. Each time is the least of several, in processor time.
"""

from __future__ import annotations

import hashlib
import statistics
import sys
import time
from collections.abc import Callable, Iterable
from itertools import islice
from pathlib import Path

import torch

from zoo.data.decode import decode_image, decoded
from zoo.data.examination.traits import measure_traits
from zoo.data.sampler import Sampler
from zoo.data.transform import build_train_transform
from zoo.plugin import InputSpec

INPUT = InputSpec(size=(3, 224, 224), resize=256, mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))
ROUNDS, IMAGES, BATCHES = 5, 10**7, 1000


def main() -> None:
    torch.set_num_threads(1)
    photos = sorted(Path(sys.argv[1]).rglob("*.jpg"))
    size = statistics.mean(photo.stat().st_size for photo in photos)
    transform, generator = build_train_transform(INPUT, "crop-flip"), torch.Generator()

    def prepare(photo: Path) -> None:
        reduced = transform.reduce(decode_image(photo))
        assert transform.crop is not None
        transform.crop(reduced, generator)

    say(f"prepare a photo of {size / 1000:.0f} KB", measure_each(prepare, photos) * 1e3, "ms")
    say("examine it", measure_each(examine, photos) * 1e3, "ms")
    sampler = Sampler(512, seed=0)
    plan = sampler.plan(IMAGES, epoch=0)
    say("random order, per image", measure(lambda: next(plan)) / IMAGES * 1e6, "us")
    keys = sampler.add_seeds(islice(plan, BATCHES), epoch=0)
    say("seed of an image", measure(lambda: sum(map(len, keys))) / (BATCHES * sampler.batch_size) * 1e6, "us")


def examine(photo: Path) -> None:
    data = photo.read_bytes()
    hashlib.sha256(data)
    with decoded(data) as image:
        measure_traits(image)


def measure_each(work: Callable[[Path], object], photos: Iterable[Path]) -> float:
    """Return the mean over the photos of the least time for each of them, in seconds."""
    return statistics.mean(min(measure(work, photo) for _ in range(ROUNDS)) for photo in photos)


def measure(work: Callable[..., object], *args: object) -> float:
    started = time.thread_time()
    work(*args)
    return time.thread_time() - started


def say(what: str, value: float, unit: str) -> None:
    sys.stdout.write(f"{what}: {value:.3g} {unit}\n")


if __name__ == "__main__":
    main()
