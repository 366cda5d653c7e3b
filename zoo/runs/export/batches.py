"""The batches on which an export is compared with its run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from zoo.data.channels import GRAY, RGB
from zoo.data.decode import decoded, quiet_pillow
from zoo.data.marks import Mark
from zoo.errors import DataError, RunError
from zoo.progress import Progress
from zoo.runs.classifier import Classifier
from zoo.runs.folder import RunFolder
from zoo.runs.predictions import read_predictions

#: Sizes of batches. Some exports work only for the size of their example.
SIZES = (1, 2, 5)
#: Maximum number of validation images, because a proof with more of them takes long and says hardly more.
MAX_IMAGES = 500
#: Number of cropped batches of each size.
_CROPPED = 5
#: Modes of images that Pillow converts to RGB as zoo does.
_MODES = ("1", "L", "LA", "P", "RGB", "RGBA")


@dataclass(frozen=True)
class Batch:
    """Images that are classified together."""

    paths: tuple[Path, ...]
    #: Height and width to which the upper left corners of the images are cropped; None to use the full images.
    size: tuple[int, int] | None = None

    def read(self, classifier: Classifier) -> Tensor:
        """Return the input of the model, of shape (N, C, H, W), as the run prepares it."""
        height, width = self.size or (None, None)
        inputs, channels = [], classifier.header.input.size[0]
        for path in self.paths:
            with quiet_pillow(), decoded(path, channels=channels) as image:
                inputs.append(classifier.transform.steps(image.pixels[:, :height, :width]))
        return torch.stack(inputs)


@dataclass(frozen=True)
class ValidationImages:
    """The validation images of a run that still exist."""

    paths: tuple[Path, ...]
    #: Number of validation images.
    count: int
    #: Why there is no image or fewer than ``count``, as a clause; empty if there are all.
    reason: str


def find_images(folder: RunFolder, channels: int, progress: Progress) -> ValidationImages:
    """Find the validation images of a run, at most `MAX_IMAGES` of them, evenly spaced.

    Args:
        folder: Run folder.
        channels: Number of channels of the input.
        progress: Receives the progress.
    """
    try:
        paths = [item.path for item in read_predictions(folder) if item.split == "val"]
    except RunError as error:
        return ValidationImages((), 0, str(error).rstrip("."))
    step = max(len(paths) / MAX_IMAGES, 1)
    chosen = [paths[int(index * step)] for index in range(min(len(paths), MAX_IMAGES))]
    usable = []
    with quiet_pillow(), progress.track("finding images", len(chosen)) as advance:
        for path in chosen:
            usable += [path] if _is_usable(path, channels) else []
            advance(1)
    missing = len(chosen) - len(usable)
    reasons = [f"{len(paths)} were reduced to {len(chosen)}"] if len(chosen) < len(paths) else []
    reasons += [f"{missing} are gone or are of a kind that Pillow reads differently"] if missing else []
    return ValidationImages(tuple(usable), len(paths), ", and ".join(reasons))


def _is_usable(path: Path, channels: int) -> bool:
    """Return whether Pillow or NumPy alone reads an image as zoo does; they do not for 16 bits and CMYK."""
    try:
        is_array = path.suffix.lower() == ".npy" and channels not in (GRAY, RGB)
        if not is_array:
            with Image.open(path) as image:
                modes = _MODES if image.format != "JPEG" else ("L", "RGB")
                if image.mode not in (modes if channels in (GRAY, RGB) else ("RGBA",)):
                    return False
        with decoded(path, channels=channels) as read:
            return Mark.DEEP not in read.marks
    except (OSError, DataError, ValueError, Image.DecompressionBombError):
        return False


def list_batches(golden: Sequence[Path], images: Sequence[Path], channels: int) -> Iterator[Batch]:
    """List the batches: each golden image and each image alone, and batches of several images that are cropped.

    Args:
        golden: Golden images.
        images: Validation images.
        channels: Number of channels of the input.
    """
    for path in (*golden, *images):
        yield Batch((path,))
    for paths in filter(None, (golden, images)):
        endless = cycle(paths)
        for count in SIZES[1:]:
            for _ in range(min(_CROPPED, -(-len(paths) // count))):
                group = tuple(islice(endless, count))
                yield Batch(group, _find_odd_size(group, channels))


def _find_odd_size(paths: Sequence[Path], channels: int) -> tuple[int, int]:
    """Return the largest odd height and width that all images have."""
    with quiet_pillow():
        sizes = [_read_size(path, channels) for path in paths]
    height, width = (min(sides) for sides in zip(*sizes, strict=True))
    return height - 1 + height % 2 or 1, width - 1 + width % 2 or 1


def _read_size(path: Path, channels: int) -> tuple[int, int]:
    with decoded(path, channels=channels) as image:
        height, width = image.pixels.shape[1:]
        return height, width
