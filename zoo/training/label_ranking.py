"""Rank images by how doubtful their labels are, judged by a cross-validated linear probe on their features."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from torch import Tensor

from zoo.data.sample import Sample
from zoo.engine.confident_learning import find_label_errors, measure_doubt, suggest_labels
from zoo.engine.linear_probe import cross_validate
from zoo.progress import Progress
from zoo.training.probe_folds import divide


@dataclass(frozen=True, slots=True)
class LabelDoubt:
    """How well the label of an image agrees with the images that look like it."""

    sample: Sample
    #: The most probable class other than the label.
    suggested: str
    #: Probability of the label.
    probability: float
    #: Probability of the suggested class.
    suggested_probability: float
    #: Whether confident learning calls the label an error.
    is_error: bool

    @property
    def label(self) -> str:
        """The given label."""
        return self.sample.file.class_name


@dataclass(frozen=True)
class LabelRanking:
    """All images, the most doubtful label first."""

    doubts: tuple[LabelDoubt, ...]
    #: Number of folds of the cross-validation.
    folds: int
    #: Fraction of the images whose label is the most probable class, from 0 to 1.
    accuracy: float


def rank_labels(
    samples: Sequence[Sample],
    features: Tensor,
    *,
    clusters: Mapping[bytes, bytes] = MappingProxyType({}),
    seed: int,
    progress: Progress,
) -> LabelRanking:
    """Rank images by the probabilities that probes return for images they were not trained on.

    The doubt is the probability of the most probable other class minus that of the label.

    Args:
        samples: Images of at least two classes.
        features: Features of the images, of shape (N, width).
        clusters: Clusters of near copies, which are in one fold; see `zoo.data.examination.clusters`.
        seed: Seed of the folds.
        progress: Where to report progress.

    Raises:
        DataError: If a class has fewer than two different images, or all its images are in one group.
    """
    divided = divide(samples, clusters, seed)
    labels, names = divided.labels, divided.classes
    with progress.track("checking labels", len(samples)) as advance:
        probabilities = cross_validate(features, labels, divided.folds, advance)
    order = measure_doubt(probabilities, labels).argsort(descending=True, stable=True)
    rows = zip(
        order.tolist(),
        suggest_labels(probabilities, labels)[order].tolist(),
        find_label_errors(probabilities, labels)[order].tolist(),
        probabilities[order],
        strict=True,
    )
    doubts = (
        LabelDoubt(samples[row], names[other], each[labels[row]].item(), each[other].item(), is_error)
        for row, other, is_error, each in rows
    )
    return LabelRanking(tuple(doubts), divided.count, (probabilities.argmax(1) == labels).float().mean().item())
