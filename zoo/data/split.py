"""Split off validation images from the training images, stratified by class and determined by the seed and content."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable

#: Fraction of the training images that is used for validation.
VAL_FRACTION = 0.2


def split_off_val(images: Iterable[tuple[str, str]], *, seed: int, fraction: float = VAL_FRACTION) -> set[str]:
    """Choose images for validation and return their digests.

    From each class, ``fraction`` of the distinct images is chosen, rounded to a whole number: at least one image if the
    class has two or more, and never all of them. Copies of an image stay together. An image in several classes stays in
    train, because its label is ambiguous. The choice depends only on content, classes, ``seed`` and ``fraction``.

    Args:
        images: Class name and digest of each image.
        seed: Seed of the random choice.
        fraction: Fraction of each class to choose, between 0 and 1.
    """
    classes: defaultdict[str, set[str]] = defaultdict(set)
    for class_name, digest in images:
        classes[digest].add(class_name)
    unambiguous: defaultdict[str, list[str]] = defaultdict(list)
    for digest, names in classes.items():
        if len(names) == 1:
            unambiguous[next(iter(names))].append(digest)
    return {digest for digests in unambiguous.values() for digest in _choose(digests, seed, fraction)}


def _choose(digests: list[str], seed: int, fraction: float) -> list[str]:
    if len(digests) < 2:
        return []
    count = min(max(round(fraction * len(digests)), 1), len(digests) - 1)
    return sorted(digests, key=lambda digest: _rank(digest, seed))[:count]


def _rank(digest: str, seed: int) -> bytes:
    return hashlib.blake2b(f"{seed}/{digest}".encode(), digest_size=16).digest()
