"""Move samples of the train split to val and test."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from types import MappingProxyType

from zoo.data.collector import pausing_collector
from zoo.data.sample import Sample
from zoo.data.split import choose_splits
from zoo.data.units import Labeled, choose_key


@pausing_collector()
def split_off(
    images: Sequence[Sample],
    fractions: Mapping[str, float],
    seed: int,
    clusters: Mapping[bytes, bytes] = MappingProxyType({}),
) -> list[Sample]:
    """Move images from train to the other splits. Images of one cluster move together, as if they were copies.

    Images that were not examined are chosen by their names, class by class unless there are groups, because that needs
    less memory.
    """
    by_class = not any(image.is_examined or image.file.group for image in images)
    parts = groupby(images, lambda image: image.file.class_name) if by_class else [("", images)]
    return [image for _, part in parts for image in _split_off_from(list(part), fractions, seed, clusters)]


def _split_off_from(
    images: Sequence[Sample], fractions: Mapping[str, float], seed: int, clusters: Mapping[bytes, bytes]
) -> Iterator[Sample]:
    keys = [choose_key(image, clusters) if image.file.split == "train" else None for image in images]
    labeled = (
        Labeled(image.file.class_name, key, image.file.group) for image, key in zip(images, keys, strict=True) if key
    )
    chosen = choose_splits(labeled, fractions, seed=seed)
    for image, key in zip(images, keys, strict=True):
        split = chosen.get(key) if key else None
        yield replace(image, file=replace(image.file, split=split)) if split else image
