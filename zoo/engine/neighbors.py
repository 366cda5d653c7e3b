"""The distance of images to those of the training, in the space of the features."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import normalize

#: The neighbor whose distance counts, from 1 for the nearest. With MobileNetV2 trained on 245 photos of ants and bees,
#: the first to the tenth tell other photos equally well from new ones of ants and bees.
NEIGHBOR = 5
#: Number of images that are measured at the same time, to save memory.
_PART = 1024


def scale(features: Tensor) -> Tensor:
    """Scale the features of each image to length 1, in float32. Features of zeros stay zeros.

    The squares of features above 1e19 are not finite in float32, so the length is computed in float64.

    Args:
        features: Features of N images, of shape (N, width).
    """
    return normalize(features.double()).float()


def measure_neighbor_distances(features: Tensor, reference: Tensor) -> Tensor:
    """Return the distance of each image to its nearest reference images: to the `NEIGHBOR`-th, or to the last one.

    It is the Euclidean distance of features that are scaled to length 1, from 0 to 2. Source: Sun et al. 2022,
    arXiv:2204.06507.

    Args:
        features: Features of N images, of shape (N, width).
        reference: Features of M images, of shape (M, width), from `scale`.

    Returns:
        Distances of shape (N,). They are NaN for features that are not finite.
    """
    index = min(NEIGHBOR, len(reference))
    parts = torch.split(scale(features), _PART)
    return torch.cat([torch.cdist(part, reference).kthvalue(index, dim=1).values for part in parts])
