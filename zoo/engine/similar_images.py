"""Find pairs of images with nearly the same features: crops and mirrored copies, whose hashes differ."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn.functional import normalize

#: Largest number of images that are compared. Each of them is compared with all others, which takes a minute or two.
MAX_COMPARED = 50_000
#: The distance of two copies is at most a fraction of the distance from each of them to its neighbor of this rank. The
#: fraction depends on the data, but this is its maximum.
_RANK, _MAX_FRACTION = 10, 0.45
#: Number of unrelated pairs that may be found in data without copies, as far as its dimension predicts it.
_EXPECTED = 0.1
#: Rank of the neighbor that the dimension is estimated from. It is above 1 because of the copies.
_INNER_RANK = 5
#: If the neighbor is closer than this, features do not tell images apart.
_MIN_DISTANCE = 1e-4
#: Number of images that are compared with all others at once.
_CHUNK = 1024


def list_similar_pairs(features: Tensor) -> list[tuple[int, int]]:
    """Return the pairs of indices of images with nearly the same features, sorted.

    There are none if there are only a few images, or more than `MAX_COMPARED`. The distance of two images is 1 minus
    the cosine of their features, after the mean of all images was subtracted.

    Args:
        features: Features of different images, of shape (N, width).
    """
    if not _RANK < len(features) <= MAX_COMPARED:
        return []
    scaled = normalize(features - features.mean(0))
    inner, outer = torch.cat([_measure_neighbors(scaled, some) for some in _divide(len(scaled))]).T
    limits = torch.where(outer > _MIN_DISTANCE, _choose_fraction(inner, outer) * outer, -1.0)
    pairs = []
    for some in _divide(len(scaled)):
        is_near = _measure_distances(scaled, some) <= torch.minimum(limits[some][:, None], limits)
        pairs += [(int(some[row]), other) for row, other in is_near.nonzero().tolist() if some[row] < other]
    return pairs


def _choose_fraction(inner: Tensor, outer: Tensor) -> float:
    """Return the fraction of the outer distance that is so small that an unrelated image is hardly ever as close.

    In data of dimension m, the share of images with a neighbor within a fraction f of the squared distance to the tenth
    neighbor is about 9 f^(m/2). The dimension is estimated as in Levina and Bickel 2004, "Maximum Likelihood Estimation
    of Intrinsic Dimension". It is about 28 for photos and MobileNetV2.

    Args:
        inner: Distance of each image to its neighbor of the inner rank, of shape (N,).
        outer: The same for the outer rank.
    """
    ratios = (outer / inner.clamp(min=_MIN_DISTANCE)).clamp(min=1 + 1e-6)
    per_dimension = sum(1 / rank for rank in range(_INNER_RANK, _RANK))
    dimension = 2 * per_dimension / ratios.log().median().item()
    fraction: float = (_EXPECTED / ((_RANK - 1) * len(outer))) ** (2 / dimension)
    return min(_MAX_FRACTION, fraction)


def _divide(count: int) -> Iterator[Tensor]:
    """Yield the indices of a number of images in chunks."""
    return (torch.arange(first, min(first + _CHUNK, count)) for first in range(0, count, _CHUNK))


def _measure_neighbors(scaled: Tensor, some: Tensor) -> Tensor:
    """Return the distances of some images to their neighbors of both ranks, of shape (N, 2)."""
    nearest = _measure_distances(scaled, some).topk(_RANK, largest=False).values
    return nearest[:, [_INNER_RANK - 1, _RANK - 1]]


def _measure_distances(scaled: Tensor, some: Tensor) -> Tensor:
    """Return the distances of some images to all images; that to itself is infinite."""
    distances = (1 - scaled[some] @ scaled.T).clamp(min=0)
    distances[torch.arange(len(some)), some] = torch.inf
    return distances
