"""Out-of-fold predictions: those for the images of a fold, by the model that was trained on the other folds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from torch import Tensor

from zoo.data.sample import Sample
from zoo.engine.metrics import MAX_MATRIX
from zoo.progress.csv_rows import format_csv
from zoo.registry.fold import Fold

#: Number of digits after the decimal point of a probability.
_DIGITS = 6


def format_predictions(samples: Sequence[Sample], probabilities: Tensor, classes: Sequence[str], fold: Fold) -> str:
    """Return the predictions for the images of a fold as CSV, with a header.

    Args:
        samples: The N images.
        probabilities: Probabilities of shape (N, classes).
        classes: Names of the classes.
        fold: The fold.
    """
    return format_header(classes) + format_csv(_list_rows(samples, probabilities, classes, fold))


def format_header(classes: Sequence[str]) -> str:
    """Return the line with the names of the columns. There is a column for each class unless there are many."""
    names = [f"probability of {name}" for name in classes] if len(classes) <= MAX_MATRIX else []
    return format_csv([["path", "fold", "label", "predicted", "probability", *names]])


def _list_rows(
    samples: Sequence[Sample], probabilities: Tensor, classes: Sequence[str], fold: Fold
) -> Iterator[list[str | float]]:
    for sample, row, index in zip(samples, probabilities, probabilities.argmax(1).tolist(), strict=True):
        each = [round(value, _DIGITS) for value in row.tolist()]
        shown = each if len(classes) <= MAX_MATRIX else []
        yield [str(sample.path), fold.number, sample.file.class_name, classes[index], each[index], *shown]
