"""The distance of images to those of the training, in the space of the features."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import normalize

#: Rank of the neighbor whose distance counts. With MobileNetV2 trained on 245 photos of ants and bees, ranks from 1 to
#: 10 tell other photos equally well from new ones of ants and bees.
RANK = 5


def measure_neighbor_distances(features: Tensor, reference: Tensor) -> Tensor:
    """Return the distance of each image to its nearest reference images: to the `RANK`-th, or to the last one.

    It is the Euclidean distance of features that are scaled to length 1, from 0 to 2. Source: Sun et al. 2022,
    arXiv:2204.06507.

    Args:
        features: Features of N images, of shape (N, width).
        reference: Features of M images, of shape (M, width).

    Returns:
        Distances of shape (N,).
    """
    distances = torch.cdist(normalize(features.float()), normalize(reference.float()))
    return distances.kthvalue(min(RANK, len(reference)), dim=1).values
