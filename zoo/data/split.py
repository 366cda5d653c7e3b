"""Splits validation images off the training images: by class, by seed, and by content rather than by name."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable

VAL_SHARE = 0.2


def split_off_val(images: Iterable[tuple[str, str]], *, seed: int, share: float = VAL_SHARE) -> set[str]:
    """Return the digests of the images that are for validation, of ``images`` as (class name, digest).

    A class gives ``share`` of its distinct images, rounded; at least one, if it has two, and never all. Copies of an
    image stay together, and an image that lies under several classes stays in training, as it can be no one's answer.
    The choice depends on nothing but content, classes, ``seed`` and ``share``.
    """
    classes: defaultdict[str, set[str]] = defaultdict(set)
    for digest, class_name in {(digest, class_name) for class_name, digest in images}:
        classes[digest].add(class_name)
    alone: defaultdict[str, list[str]] = defaultdict(list)
    for digest, names in classes.items():
        if len(names) == 1:
            alone[next(iter(names))].append(digest)
    return {digest for digests in alone.values() for digest in _choose(digests, seed, share)}


def _choose(digests: list[str], seed: int, share: float) -> list[str]:
    if len(digests) < 2:
        return []
    count = min(max(round(share * len(digests)), 1), len(digests) - 1)
    return sorted(digests, key=lambda digest: _rank(digest, seed))[:count]


def _rank(digest: str, seed: int) -> bytes:
    return hashlib.blake2b(f"{seed}/{digest}".encode(), digest_size=16).digest()
