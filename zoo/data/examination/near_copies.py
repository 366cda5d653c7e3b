"""Find images that look the same: re-encoded or resized copies of each other."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

Hashes = NDArray[np.uint64]

#: Largest number of bits in which the hashes of copies differ. Unrelated ones of 396 photos differed in at least 14.
MAX_DISTANCE = 4
_BITS = 64
#: If hashes are divided into this many parts, two hashes that differ in `MAX_DISTANCE` bits agree in one part.
_PARTS = MAX_DISTANCE + 1
#: Maximum number of hashes with which a hash is compared in each part, so that images that were made to have similar
#: hashes take linear time. In 200,000 photos, about 25 hashes agree in a part.
_MAX_COMPARED = 100


def list_near_hashes(hashes: Iterable[int]) -> list[tuple[int, int]]:
    """List all pairs of different hashes that differ in at most `MAX_DISTANCE` bits, sorted. A hash of 0 is ignored."""
    distinct = np.unique(np.fromiter((value for value in hashes if value), np.uint64))
    found = [pair for part in range(_PARTS) for pair in _list_pairs(distinct, _get_part(distinct, part))]
    return sorted({(min(pair), max(pair)) for pair in found})


def _get_part(hashes: Hashes, part: int) -> Hashes:
    """Return some bits of each hash."""
    start, end = _BITS * part // _PARTS, _BITS * (part + 1) // _PARTS
    return hashes >> np.uint64(start) & np.uint64(2 ** (end - start) - 1)


def _list_pairs(hashes: Hashes, keys: Hashes) -> Iterator[tuple[int, int]]:
    """List the pairs of near hashes that have the same key."""
    order = np.argsort(keys, kind="stable")
    hashes, keys = hashes[order], keys[order]
    for step in range(
        1, min(len(keys), _MAX_COMPARED + 1)
    ):  # Equal keys are neighbors now, so compare each with the next ones.
        is_same = keys[step:] == keys[:-step]
        if not is_same.any():
            return
        ones, others = hashes[:-step][is_same], hashes[step:][is_same]
        is_near = np.bitwise_count(ones ^ others) <= MAX_DISTANCE
        yield from zip(ones[is_near].tolist(), others[is_near].tolist(), strict=True)
