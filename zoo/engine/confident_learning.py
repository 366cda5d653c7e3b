"""Confident learning: which labels are probably wrong, judged by predictions for images that a model has not seen.

The method is from Northcutt, Jiang and Chuang 2021, "Confident Learning: Estimating Uncertainty in Dataset Labels",
https://doi.org/10.1613/jair.1.12125.
"""

from __future__ import annotations

import torch
from torch import Tensor


def find_label_errors(probabilities: Tensor, labels: Tensor) -> Tensor:
    """Return for each image whether its label is probably wrong, bool of shape (N,).

    The threshold of a class is the mean probability of this class for the images that are labeled with it. An image
    confidently belongs to the most probable class whose threshold it reaches. Its label is probably wrong if this class
    is a different one, and the label is not the most probable class anyway.

    Args:
        probabilities: Probabilities of each class, of shape (N, classes), from models that have not seen the image.
        labels: Given labels, of shape (N,). Every class occurs.
    """
    thresholds = _measure_thresholds(probabilities, labels)
    confident = torch.where(probabilities >= thresholds, probabilities, -torch.inf)
    highest, classes = confident.max(1)
    return highest.isfinite() & (classes != labels) & (probabilities.argmax(1) != labels)


def _measure_thresholds(probabilities: Tensor, labels: Tensor) -> Tensor:
    """Return the mean probability of each class for the images that are labeled with it."""
    given = probabilities.gather(1, labels[:, None])[:, 0]
    num_classes = probabilities.shape[1]
    sums = torch.zeros(num_classes, dtype=given.dtype).index_add_(0, labels, given)
    return sums / torch.bincount(labels, minlength=num_classes)


def suggest_labels(probabilities: Tensor, labels: Tensor) -> Tensor:
    """Return the most probable label other than the given one, of shape (N,)."""
    return probabilities.scatter(1, labels[:, None], -1.0).argmax(1)


def measure_doubt(probabilities: Tensor, labels: Tensor) -> Tensor:
    """Return the probability of the most probable other label minus that of the given one, from -1 to 1, of shape (N,).

    Its negative is called the normalized margin.
    """
    others = suggest_labels(probabilities, labels)
    return (probabilities.gather(1, others[:, None]) - probabilities.gather(1, labels[:, None]))[:, 0]
