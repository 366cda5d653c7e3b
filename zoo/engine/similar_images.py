"""Find pairs of images with nearly the same features: crops and mirrored copies, whose hashes differ."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn.functional import normalize

#: Largest number of images that are compared. Each of them is compared with all others, which takes a minute or two.
MAX_COMPARED = 50_000
#: The distance of two copies is at most this fraction of the distance from each of them to its neighbor of this rank.
#: A limit that depends on the neighbors suits data of any kind: in 396 photos, the nearest unrelated image had a
#: fraction of at least 0.35, and mirrored photos one of at most 0.3.
_MAX_FRACTION, _RANK = 0.3, 10
#: If this many neighbors are closer than this, features do not tell images apart.
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
    limits = torch.cat([_measure_limits(scaled, some) for some in _divide(len(scaled))])
    pairs = []
    for some in _divide(len(scaled)):
        is_near = _measure_distances(scaled, some) <= torch.minimum(limits[some][:, None], limits)
        pairs += [(int(some[row]), other) for row, other in is_near.nonzero().tolist() if some[row] < other]
    return pairs


def _divide(count: int) -> Iterator[Tensor]:
    """Yield the indices of a number of images in chunks."""
    return (torch.arange(first, min(first + _CHUNK, count)) for first in range(0, count, _CHUNK))


def _measure_limits(scaled: Tensor, some: Tensor) -> Tensor:
    """Return the largest distance that a copy of each of some images may have; -1 if no image counts as one."""
    far = _measure_distances(scaled, some).topk(_RANK, largest=False).values[:, -1]
    return torch.where(far > _MIN_DISTANCE, _MAX_FRACTION * far, -1.0)


def _measure_distances(scaled: Tensor, some: Tensor) -> Tensor:
    """Return the distances of some images to all images; that to itself is infinite."""
    distances = (1 - scaled[some] @ scaled.T).clamp(min=0)
    distances[torch.arange(len(some)), some] = torch.inf
    return distances
