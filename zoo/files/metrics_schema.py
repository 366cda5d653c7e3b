"""Types of the metrics and predictions that a run records."""

from __future__ import annotations

from typing import Annotated, NotRequired, TypedDict

from msgspec import Meta

from zoo.files.data_schema import Count, Name, Positive, Text

Fraction = Annotated[float, Meta(ge=0, le=1)]


class ClassMetrics(TypedDict):
    """The metrics of one class."""

    images: Count
    precision: Fraction | None
    recall: Fraction | None
    f1: NotRequired[Fraction | None]


class ConfusedPairs(TypedDict):
    """A confusion matrix with many classes: its nonzero entries, as columns of equal length."""

    true: list[Count]
    predicted: list[Count]
    images: list[Count]


class CalibrationBin(TypedDict):
    """The images whose predicted class has a probability in one interval."""

    images: Positive
    probability: Fraction
    accuracy: Fraction


class Calibration(TypedDict):
    """The reliability diagram and the expected calibration error."""

    error: Fraction | None
    bins: Annotated[list[CalibrationBin], Meta(max_length=100)]


class Metrics(TypedDict):
    """The metrics of one split."""

    accuracy: Fraction
    balanced_accuracy: NotRequired[Fraction | None]
    calibration: NotRequired[Calibration]
    images: Count
    per_class: dict[Name, ClassMetrics]
    confusion: list[list[Count]] | ConfusedPairs


class PredictionLine(TypedDict):
    """A line of predictions.jsonl."""

    split: Name
    path: Text
    label: Name
    predicted: Name
    #: None if the model returned NaN or infinite values.
    probability: Fraction | None
    label_probability: Fraction | None
