"""Measure how long predicting takes compared with decoding and the forward pass alone.

    python tests/benchmarks/predict.py FOLDER [--backbone mobilenet_v2] [--weights FILE] [--images 1000] [--pairs 5]

The script trains a head on FOLDER for an epoch, and predicts its images, repeated up to --images. Both sides are
measured in turn in this process, so imports are excluded. The prediction includes loading the run, listing the images
and the JSON output. The other side reads and decodes JPEGs, resizes and crops them in one thread per core, and then
runs the model on the stored batches. The script fails if the median ratio is above --limit.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import cycle, islice
from pathlib import Path
from typing import NamedTuple

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as the command does before it imports torch

import torch  # after the variable
from torch import Tensor, nn
from torchvision.transforms.v2 import functional  # type: ignore[import-untyped]  # it has no types

import zoo
from zoo.data.cores import count_cores

BATCH = 32


class Times(NamedTuple):
    """A time, and the processor time of all threads of this process, in seconds."""

    wall: float
    processor: float

    @classmethod
    def now(cls) -> Times:
        return cls(time.perf_counter(), time.process_time())


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--backbone", default="mobilenet_v2")
    parser.add_argument("--weights")
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--limit", type=float, default=1.3)
    arguments = parser.parse_args()
    paths = [*islice(cycle(sorted(arguments.data.rglob("*.jpg"))), arguments.images)]
    with tempfile.TemporaryDirectory() as place:
        options = {"weights": arguments.weights} if arguments.weights else {}
        run = zoo.finetune(
            arguments.backbone, data=arguments.data, epochs=1, device="cpu", output=f"{place}/run", **options
        )
        predict(run.path, paths[:BATCH])
        ratios = [measure(run.path, paths) for _ in range(arguments.pairs)]
    wall, processor = (statistics.median(each) for each in zip(*ratios, strict=True))
    sys.stdout.write(
        f"predicting {len(paths)} images takes {wall:.2f} times as long as decoding and the forward pass, "
        f"and {processor:.2f} times the processor time\n"
    )
    return int(wall > arguments.limit)


def measure(run: Path, paths: Sequence[Path]) -> Times:
    """Return the ratios of both times."""
    model = zoo.load(run, device="cpu").model
    started = Times.now()
    batches = decode_all(paths)
    decoded = Times.now()
    forward_all(model, batches)
    ended = Times.now()
    predict(run, paths)
    predicted = Times.now()
    ratios = Times(
        *((third - second) / (second - first) for first, second, third in zip(started, ended, predicted, strict=True))
    )
    sys.stdout.write(
        f"decoding {decoded.wall - started.wall:.2f} s, forward pass {ended.wall - decoded.wall:.2f} s, "
        f"predicting {predicted.wall - ended.wall:.2f} s, ratio {ratios.wall:.2f}, {ratios.processor:.2f} of the "
        "processor time\n"
    )
    sys.stdout.flush()
    return ratios


def predict(run: Path, paths: Sequence[Path]) -> str:
    """Do what the command does after the imports."""
    predictions = zoo.load(run, device="cpu").predict([str(path) for path in paths])
    return json.dumps([prediction.to_json() for prediction in predictions])


def decode_all(paths: Sequence[Path]) -> list[Tensor]:
    """Return uint8 batches of shape (N, 3, 224, 224)."""
    with ThreadPoolExecutor(count_cores()) as pool:
        images = [*pool.map(decode, paths)]
    return [torch.stack(images[first : first + BATCH]) for first in range(0, len(images), BATCH)]


def decode(path: Path) -> Tensor:
    data = torch.frombuffer(bytearray(path.read_bytes()), dtype=torch.uint8)
    pixels = torch.ops.image.decode_jpeg(data, mode=3, apply_exif_orientation=True)
    cropped: Tensor = functional.center_crop(functional.resize(pixels, [256], antialias=True), [224, 224])
    return cropped.clone()


@torch.inference_mode()
def forward_all(model: nn.Module, batches: Sequence[Tensor]) -> None:
    for batch in batches:
        model(batch.float().div(255).sub(0.45).div(0.225).contiguous(memory_format=torch.channels_last)).softmax(1)


if __name__ == "__main__":
    sys.exit(main())
