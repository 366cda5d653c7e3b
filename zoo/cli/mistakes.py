"""The accuracy of predictions whose true classes are known, and the wrong ones."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from zoo.runs.prediction import Prediction

#: What is printed in place of a class if no class is probable enough.
NONE = "none of these"


def format_top(prediction: Prediction) -> str:
    """Return the most probable classes with their probabilities."""
    top = ", ".join(f"{label} {probability:.3f}" for label, probability in prediction.top)
    return top if prediction.label else f"{NONE} ({top})"


def format_accuracy(predictions: Sequence[Prediction]) -> str:
    """Return a sentence with the accuracy and its 95% interval."""
    from zoo.runs.report.numbers import measure_interval

    known = [prediction.is_correct for prediction in predictions if prediction.is_correct is not None]
    if not known:
        return "note: no image has a true class, so there is no accuracy"
    correct = sum(known)
    interval = measure_interval(correct, len(known))
    return f"accuracy {correct / len(known):.4f} on {len(known)} images (95% interval {interval})"


def format_wrong(predictions: Sequence[Prediction]) -> Iterator[str]:
    """Yield the number of wrong predictions, and a line for each, the most confident first."""
    wrong = [prediction for prediction in predictions if prediction.is_correct is False]
    yield f"{len(wrong)} wrong"
    for item in sorted(wrong, key=lambda item: (-(item.probability or 0.0), str(item.path))):
        yield f"{item.path}: {format_top(item)}, but its class is {item.truth}"


def format_errors(errors: Sequence[dict[str, Any]]) -> Iterator[str]:
    """Yield the same for the errors of an evaluation."""
    yield f"{len(errors)} wrong"
    for item in errors:
        yield f"{item['path']}: {item['predicted']} {item['probability']:.3f}, but its class is {item['label']}"
