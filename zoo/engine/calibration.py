"""Whether the probabilities of a model are as large as the fraction of correct predictions."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

#: Number of bins of equal width, as in Guo et al. 2017.
NUM_BINS = 15


def measure_calibration(probabilities: Tensor, labels: Tensor) -> dict[str, Any]:
    """Compute the reliability diagram and the expected calibration error.

    Source: Guo et al. 2017, "On Calibration of Modern Neural Networks".

    Args:
        probabilities: Probabilities of shape (N, classes).
        labels: Indices of the true classes, of shape (N,).

    Returns:
        A dictionary with ``error`` and ``bins``. The error is the mean difference between the probability of the
        predicted class and the accuracy, over all images; it is None without images. Images with probabilities that are
        not finite do not count. Each bin has the number of
        ``images`` whose probability is in it, their mean ``probability`` and their ``accuracy``. Empty bins are left
        out.
    """
    is_finite = probabilities.isfinite().all(1)
    labels, (confidence, predicted) = labels[is_finite], probabilities[is_finite].double().max(1)
    correct = (predicted == labels).double()
    # The upper edge belongs to a bin, so a probability of exactly 1 is in the last one.
    place = (confidence * NUM_BINS).ceil().long().sub(1).clamp(0, NUM_BINS - 1)
    counts = torch.bincount(place, minlength=NUM_BINS)
    sums = [torch.bincount(place, weights, NUM_BINS) for weights in (confidence, correct)]
    gaps = (sums[0] - sums[1]).abs().sum().item()
    bins = [
        {"images": count, "probability": min(sure / count, 1.0), "accuracy": right / count}
        for count, sure, right in zip(counts.tolist(), *(column.tolist() for column in sums), strict=True)
        if count
    ]
    return {"error": gaps / len(labels) if len(labels) else None, "bins": bins}
