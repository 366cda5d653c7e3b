"""The predictions of a run's best model for its validation and test images: predictions.jsonl."""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from zoo.data.sample import Sample
from zoo.files.metrics_schema import PredictionLine
from zoo.runs.folder import PREDICTIONS, RunFolder

#: Number of decimals of a probability in the file.
_DECIMALS = 6


@dataclass(frozen=True, slots=True)
class Predicted:
    """The prediction for an image with a known class."""

    split: str
    path: Path
    label: str
    predicted: str
    #: Probability of the predicted class; None if the model returned NaN or infinite values.
    probability: float | None
    #: Probability of the true class.
    label_probability: float | None

    @property
    def is_correct(self) -> bool:
        """Whether the predicted class is the true one."""
        return self.label == self.predicted


@dataclass(frozen=True)
class Predictions:
    """The predictions for the readable images of a split. They are kept as tensors, which take little memory."""

    split: str
    samples: Sequence[Sample]
    classes: Sequence[str]
    #: Index of the predicted class, its probability, and the probability of the true class, each of shape (N,).
    predicted: Tensor
    probability: Tensor
    label_probability: Tensor

    @classmethod
    def of(cls, probabilities: Tensor, samples: Sequence[Sample], classes: Sequence[str], split: str) -> Predictions:
        """Reduce probabilities, of shape (N, classes), to what the file contains."""
        labels = probabilities.new_tensor([sample.label for sample in samples]).long()
        best, predicted = probabilities.max(1)
        return cls(split, samples, classes, predicted, best, probabilities.gather(1, labels[:, None])[:, 0])

    def __iter__(self) -> Iterator[Predicted]:
        numbers = (column.tolist() for column in (self.predicted, self.probability, self.label_probability))
        for sample, predicted, best, true in zip(self.samples, *numbers, strict=True):
            names = sample.file.class_name, self.classes[predicted]
            yield Predicted(self.split, sample.path, *names, _round(best), _round(true))


def _round(probability: float) -> float | None:
    return round(probability, _DECIMALS) if math.isfinite(probability) else None


def select_readable(samples: Sequence[Sample], unreadable: Collection[str]) -> Sequence[Sample]:
    """Return the samples that have predictions."""
    return [sample for sample in samples if str(sample.path) not in unreadable] if unreadable else samples


def write_predictions(folder: RunFolder, predictions: Iterable[Predicted]) -> None:
    """Write predictions.jsonl.

    Raises:
        RunError: If the disk is full or the folder is gone.
    """

    def save(path: Path) -> None:
        with path.open("w", encoding="ascii") as file:
            file.writelines(json.dumps(to_json(item)) + "\n" for item in predictions)

    folder.write(PREDICTIONS, save)


def read_predictions(folder: RunFolder) -> list[Predicted]:
    """Read predictions.jsonl.

    Raises:
        RunError: If the file is missing or damaged.
    """
    return [_from_json(line) for line in folder.read_lines(PREDICTIONS, PredictionLine)]


def _from_json(line: PredictionLine) -> Predicted:
    names = line["split"], Path(line["path"]), line["label"], line["predicted"]
    return Predicted(*names, line["probability"], line["label_probability"])


def to_json(item: Predicted) -> Mapping[str, str | float | None]:
    """Return the documented JSON form."""
    return {
        "split": item.split,
        "path": str(item.path),
        "label": item.label,
        "predicted": item.predicted,
        "probability": item.probability,
        "label_probability": item.label_probability,
    }
