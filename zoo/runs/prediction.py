"""The predicted classes of an image, and what is asked about each image."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zoo.errors import DataError, OptionError
from zoo.registry.adapt_design import AdaptDesign


@dataclass(frozen=True)
class Prediction:
    """The predicted classes of an image, or the reason why it is left out."""

    #: Path of the file. For an image in a shard, it consists of the shard's path and the image's name. For an image in
    #: memory, it is its index in the list, such as ``image 3``. For an image on the web, it is the path in its URL.
    path: Path
    #: The most probable classes and their probabilities, most probable first; empty if the image is left out.
    top: tuple[tuple[str, float], ...] = ()
    error: str | None = None
    #: Name of the true class; None if it was not asked for or is unknown.
    truth: str | None = None
    #: Probability below which no class is predicted.
    min_probability: float = 0.0
    #: URL of an image on the web; else None.
    url: str | None = None
    #: Distance to the nearest training images, from 0 to 2, and the percentage of the validation images that are closer
    #: to them; None if they were not asked for.
    distance: float | None = None
    percentile: float | None = None
    #: Percentile above which no class is predicted.
    max_percentile: float = 100.0

    @property
    def name(self) -> str:
        """The URL, or the path."""
        return self.url or str(self.path)

    @property
    def label(self) -> str | None:
        """The most probable class; None if the image is left out, or by ``min_probability`` or ``max_percentile``."""
        if not self.top or self.top[0][1] < self.min_probability or (self.percentile or 0) > self.max_percentile:
            return None
        return self.top[0][0]

    @property
    def probability(self) -> float | None:
        """The probability of the most probable class; None if the image is left out."""
        return self.top[0][1] if self.top else None

    @property
    def is_correct(self) -> bool | None:
        """Whether the predicted class is the true one; None if the true class is unknown or the image is left out."""
        return None if self.truth is None or not self.top else self.label == self.truth

    def to_json(self) -> dict[str, Any]:
        """Return the documented JSON form."""
        extra: dict[str, Any] = {} if self.truth is None else {"truth": self.truth}
        if self.error is not None:
            return {"path": self.name, "error": self.error, **extra}
        if self.distance is not None:
            extra |= {"distance": self.distance, "percentile": self.percentile}
        top = [{"label": name, "probability": value} for name, value in self.top]
        return {"path": self.name, "label": self.label, "probability": self.probability, "top": top, **extra}


@dataclass(frozen=True)
class Question:
    """What is asked about each image."""

    top: int
    min_probability: float
    truth: bool
    columns: str | None
    fetch: bool = False
    #: How the model is adapted to each image; None means not at all.
    adapt: AdaptDesign | None = None
    distance: bool = False
    #: Percentile above which no class is predicted; None means no limit.
    max_percentile: float | None = None

    def __post_init__(self) -> None:
        if self.top < 1:
            raise DataError(f"`top` must be at least 1, got {self.top}.")
        if not 0 <= self.min_probability <= 1:
            raise OptionError(f"`min_probability` must be from 0 to 1, got {self.min_probability}.")
        if self.max_percentile is not None and not 0 <= self.max_percentile <= 100:
            raise OptionError(f"`max_percentile` must be from 0 to 100, got {self.max_percentile}.")
        if self.needs_distance and self.adapt:
            raise OptionError("`distance` and `max_percentile` do not apply to adapted models; leave out `adapt`.")

    @property
    def needs_distance(self) -> bool:
        """Whether the distance of each image is measured."""
        return self.distance or self.max_percentile is not None
