"""Clusters of images that look the same, which a split must not divide."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from zoo.data.examination.copies import find_near_copies
from zoo.data.examination.traits import Traits
from zoo.data.sample import Sample

#: Maximum number of different images in a cluster. Thousands of plain drawings may have nearly the same hash, and a
#: split that keeps all of them together would be useless.
MAX_SIZE = 100


def find_clusters(
    samples: Iterable[Sample], traits: Mapping[bytes, Traits], similar: Iterable[tuple[bytes, bytes]] = ()
) -> dict[bytes, bytes]:
    """Find the clusters of near copies among images.

    Args:
        samples: Images.
        traits: Traits of the examined images; others have no near copies.
        similar: Digests of pairs of images that look the same although their hashes differ.

    Returns:
        For the digest of each image with near copies, the smallest digest of its cluster. Clusters of more than
        `MAX_SIZE` different images are left out.
    """
    digests = sorted({sample.digest for sample in samples if sample.digest in traits})
    near = find_near_copies(traits, digests, similar)
    found: dict[bytes, bytes] = {}
    for digest in sorted(near):
        if digest not in found:
            found |= dict.fromkeys(_reach(digest, near), digest)
    sizes = Counter(found.values())
    return {digest: first for digest, first in found.items() if sizes[first] <= MAX_SIZE}


def _reach(digest: bytes, near: Mapping[bytes, Iterable[bytes]]) -> set[bytes]:
    """Return a digest, its near copies, their near copies, and so on."""
    reached, waiting = {digest}, [digest]
    while waiting:
        for other in near[waiting.pop()]:
            if other not in reached:
                reached.add(other)
                waiting.append(other)
    return reached
