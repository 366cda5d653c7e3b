"""Measure how much `zoo predict --adapt` gains on corrupted photos.

    python tests/benchmarks/adapt.py FOLDER [--backbone mobilenet_v2] [--weights FILE] [--run RUN] [--adapt SETTINGS]

FOLDER contains train and val folders with class folders. The script trains a head on train, unless --run is given.
Then it adds noise to the val photos, or blurs them, with three severities each, and predicts them with and without
adaptation. It also predicts the photos without a corruption. The paired difference of the accuracies is the mean over
the photos of the mean over the corruptions, so its interval respects that the same photos are used several times. The
script fails if the 95% interval of the difference is not above 0.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor
from torchvision.transforms.v2 import functional  # type: ignore[import-untyped]  # it has no types

import zoo
from zoo.data.decode import decode_image
from zoo.runs.classifier import Classifier

#: Standard deviation of the noise as a fraction of white, and of the blur in pixels. Both are levels 1, 3 and 5 of
#: ImageNet-C (Hendrycks and Dietterich 2019, arXiv:1903.12261), whose images have a similar size.
SEVERITIES = {"noise": (0.08, 0.18, 0.38), "blur": (1.0, 3.0, 6.0)}
#: Length of the shorter side of the corrupted images.
SIDE = 256


class Photo(NamedTuple):
    path: Path
    label: str


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--backbone", default="mobilenet_v2")
    parser.add_argument("--weights")
    parser.add_argument("--run", type=Path)
    parser.add_argument("--adapt", default="views=8,steps=1")
    parser.add_argument("--every", type=int, default=1, help="use only every n-th photo")
    arguments = parser.parse_args()
    photos = [Photo(path, path.parent.name) for path in sorted((arguments.data / "val").rglob("*.jpg"))]
    photos = photos[:: arguments.every]
    with tempfile.TemporaryDirectory() as place:
        options = {"weights": arguments.weights} if arguments.weights else {}
        run = arguments.run or zoo.finetune(
            arguments.backbone, data=arguments.data, epochs=5, device="cpu", output=f"{place}/run", **options
        )
        classifier = zoo.load(run, device="cpu")
    gains = [
        measure(classifier, photos, kind, severity, arguments.adapt)
        for kind, severities in SEVERITIES.items()
        for severity in severities
    ]
    code = report(gains)
    measure(classifier, photos, "none", 0.0, arguments.adapt)
    return code


def measure(classifier: Classifier, photos: Sequence[Photo], kind: str, severity: float, adapt: str) -> list[int]:
    """Return the gain of each photo: 1 if only the adapted model is right, -1 if only the other one is, or 0."""
    images = [corrupt(decode_image(photo.path), kind, severity, seed) for seed, photo in enumerate(photos)]
    started = time.process_time()
    plain = find_correct(classifier, images, photos)
    middle = time.process_time()
    adapted = find_correct(classifier, images, photos, adapt)
    ratio = (time.process_time() - middle) / (middle - started)
    gains = [after - before for before, after in zip(plain, adapted, strict=True)]
    sys.stdout.write(
        f"{kind} {severity}: accuracy {statistics.fmean(plain):.3f}, adapted {statistics.fmean(adapted):.3f} "
        f"(+{gains.count(1)} -{gains.count(-1)}), {ratio:.0f} times the processor time\n"
    )
    sys.stdout.flush()
    return gains


def find_correct(
    classifier: Classifier, images: Sequence[Tensor], photos: Sequence[Photo], adapt: str | None = None
) -> list[int]:
    predictions = classifier.predict([*images], adapt=adapt or False)
    return [int(found.label == photo.label) for found, photo in zip(predictions, photos, strict=True)]


def corrupt(pixels: Tensor, kind: str, severity: float, seed: int) -> Tensor:
    """Return a smaller image, uint8 of shape (3, height, width), with noise or blur, or with neither."""
    image: Tensor = functional.resize(pixels, [SIDE], antialias=True).float() / 255
    if kind == "noise":
        image += severity * torch.randn(image.shape, generator=torch.Generator().manual_seed(seed))
    elif kind == "blur":
        size = 2 * round(3 * severity) + 1
        image = functional.gaussian_blur(image, [size, size], [severity, severity])
    return (image.clamp(0, 1) * 255).round().to(torch.uint8)


def report(gains: Sequence[Sequence[int]]) -> int:
    """Print the mean gain with its 95% interval, and return the exit code."""
    means = [statistics.fmean(photo) for photo in zip(*gains, strict=True)]
    mean = statistics.fmean(means)
    margin = 1.96 * statistics.stdev(means) / len(means) ** 0.5
    sys.stdout.write(
        f"gain on corrupted photos: {mean:+.1%}, 95% interval {mean - margin:+.1%} to {mean + margin:+.1%} "
        f"({len(means)} photos, {len(gains)} corruptions)\n"
    )
    return int(mean <= margin)


if __name__ == "__main__":
    sys.exit(main())
