"""The pictures of a report: a contact sheet of each class, and the mistakes of which the model was most certain."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn

from zoo.data.transform import Normalize
from zoo.engine.saliency import compute_saliency
from zoo.errors import DataError
from zoo.progress.order import sort_names
from zoo.runs.predictions import Predicted
from zoo.runs.report.overlay import encode_jpeg, highlight

#: Maximum number of classes, of images of each class, and of mistakes.
MAX_CLASSES, MAX_IMAGES, MAX_MISTAKES = 12, 8, 12
#: Width of a picture in a contact sheet, and of the picture of a mistake, in pixels.
_SMALL, _LARGE = 112, 224
#: Number of images whose saliency is computed at once.
_BATCH = 4

#: Function that returns the pixels of an image as the model sees them, uint8 of shape (C, height, width).
ReadPixels = Callable[[Path], Tensor]


@dataclass(frozen=True, slots=True)
class Picture:
    """The prediction for an image, and the image itself as base64-encoded JPEG."""

    predicted: Predicted
    image: str
    #: The image with the places that contributed most to the prediction; empty in contact sheets.
    overlay: str = ""


@dataclass(frozen=True, slots=True)
class ClassRow:
    """Some images of a class, from the highest to the lowest probability of the class."""

    name: str
    total: int
    pictures: Sequence[Picture]


@dataclass(frozen=True)
class Pictures:
    """All pictures of a report. They show images of one split."""

    split: str
    rows: Sequence[ClassRow]
    #: Number of classes that have images.
    classes: int
    mistakes: Sequence[Picture]
    #: Images that should be shown but can no longer be read.
    missing: Sequence[Path] = field(default=())
    #: Why the mistakes do not show what contributed most; None if they do.
    problem: str | None = None


def draw_pictures(
    predictions: Iterable[Predicted], read: ReadPixels, model: nn.Module, normalize: Normalize
) -> Pictures | None:
    """Draw the pictures for the test images or, if there are none, for the validation images.

    Args:
        predictions: Predictions of the model.
        read: Function that returns the pixels of an image.
        model: The model, in eval mode.
        normalize: How the model's input is normalized.

    Returns:
        The pictures, or None if there are no predictions.
    """
    of_split: defaultdict[str, list[Predicted]] = defaultdict(list)
    for item in predictions:
        of_split[item.split].append(item)
    split = next((split for split in ("test", "val") if of_split[split]), None)
    return _Artist(read, model, normalize).draw(split, of_split[split]) if split else None


class _Artist:
    """Reads images and encodes them, and remembers those that cannot be read."""

    def __init__(self, read: ReadPixels, model: nn.Module, normalize: Normalize) -> None:
        self._read = read
        self._model = model
        self._normalize = normalize
        self._missing: list[Path] = []
        self._problem: str | None = None

    def draw(self, split: str, predictions: Sequence[Predicted]) -> Pictures:
        of_class: defaultdict[str, list[Predicted]] = defaultdict(list)
        for item in predictions:
            of_class[item.label].append(item)
        rows = [self._draw_row(name, of_class[name]) for name in sort_names(of_class)[:MAX_CLASSES]]
        wrong = sorted((item for item in predictions if not item.is_correct), key=_rank_mistake)
        mistakes = list(self._draw_mistakes(wrong[:MAX_MISTAKES]))
        missing = tuple(dict.fromkeys(self._missing))
        return Pictures(split, rows, len(of_class), mistakes, missing, self._problem)

    def _draw_row(self, name: str, predictions: Sequence[Predicted]) -> ClassRow:
        ranked = sorted(predictions, key=lambda item: (-(item.label_probability or 0), str(item.path)))
        drawn = [Picture(item, encode_jpeg(image, _SMALL)) for item, image in self._read_each(_thin_out(ranked))]
        return ClassRow(name, len(predictions), drawn)

    def _draw_mistakes(self, wrong: Sequence[Predicted]) -> Iterator[Picture]:
        found = list(self._read_each(wrong))
        for first in range(0, len(found), _BATCH):
            some = found[first : first + _BATCH]
            maps = self._compute_saliency([image for _, image in some])
            for (item, image), saliency in zip(some, maps, strict=True):
                overlay = "" if saliency is None else encode_jpeg(highlight(image, saliency), _LARGE)
                yield Picture(item, encode_jpeg(image, _LARGE), overlay)

    def _compute_saliency(self, images: Sequence[Tensor]) -> Sequence[Tensor | None]:
        """Return a map for each image, or None if the network has no gradients. The run is finished in any case."""
        device = next(self._model.parameters()).device
        try:
            return [*compute_saliency(self._model, self._normalize(torch.stack([*images]).to(device)))]
        except RuntimeError as error:  # Some networks support no backward pass in eval mode.
            self._problem = f"the report does not show where the model looked: {str(error).partition('.')[0]}"
            return [None] * len(images)

    def _read_each(self, predictions: Iterable[Predicted]) -> Iterator[tuple[Predicted, Tensor]]:
        for item in predictions:
            try:
                yield item, self._read(item.path)
            except DataError:  # The run is finished, and the report says which images are missing.
                self._missing.append(item.path)


def _rank_mistake(item: Predicted) -> tuple[float, str]:
    return -(item.probability or 0), str(item.path)


def _thin_out(ranked: Sequence[Predicted]) -> Sequence[Predicted]:
    """Return at most `MAX_IMAGES` items at equal distances, including the first and the last one."""
    if len(ranked) <= MAX_IMAGES:
        return ranked
    return [ranked[round(place * (len(ranked) - 1) / (MAX_IMAGES - 1))] for place in range(MAX_IMAGES)]
