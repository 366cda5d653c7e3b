"""A classifier that never trains: the labels of the images with the most similar features vote.

Li et al. 2025, "k-NN as a Simple and Effective Estimator of Transferability", https://arxiv.org/abs/2503.18528.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import normalize, one_hot

#: Number of neighbors that vote.
NEIGHBORS = 10
#: A vote weighs exp(similarity / temperature). The value is that of Wu et al. 2018, "Unsupervised Feature Learning via
#: Non-Parametric Instance Discrimination", https://arxiv.org/abs/1805.01978, which DINO uses, too.
_TEMPERATURE = 0.07
#: Number of images that are compared with all others at once.
_CHUNK = 1024


def vote(features: Tensor, labels: Tensor, folds: Tensor) -> Tensor:
    """Return the class that each image gets from its nearest neighbors in the other folds, of shape (N,).

    The similarity of two images is the cosine of their features, after the mean of all images was subtracted.

    Args:
        features: Features of shape (N, width).
        labels: Labels from 0 to the number of classes minus 1, of shape (N,).
        folds: The fold of each image, of shape (N,). No class is in one fold only.
    """
    scaled = normalize(features - features.mean(0))
    targets = one_hot(labels).float()
    starts = range(0, len(labels), _CHUNK)
    chunks = (torch.arange(first, min(first + _CHUNK, len(labels))) for first in starts)
    return torch.cat([_vote(scaled, targets, folds, some) for some in chunks])


def _vote(scaled: Tensor, targets: Tensor, folds: Tensor, some: Tensor) -> Tensor:
    similarities = (scaled[some] @ scaled.T).masked_fill(folds[some][:, None] == folds, -torch.inf)
    found, neighbors = similarities.topk(min(NEIGHBORS, len(targets)), dim=1)
    weights = ((found - 1) / _TEMPERATURE).exp()  # an image of the same fold has a weight of 0
    return (weights[:, :, None] * targets[neighbors]).sum(1).argmax(1)
