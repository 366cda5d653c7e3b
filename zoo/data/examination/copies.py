"""Find copies of images: files with the same bytes, and images that look the same."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import product
from typing import NamedTuple

from zoo.data.examination import kinds
from zoo.data.examination.kinds import Kind
from zoo.data.examination.near_copies import list_near_hashes
from zoo.data.examination.traits import Traits
from zoo.data.listing import SPLITS
from zoo.data.sample import Sample

#: Maximum number of images with the same hash that are compared. Drawings may have thousands.
_MAX_SAME = 50


class Copy(NamedTuple):
    """An image that is a copy of another one."""

    kind: Kind
    sample: Sample
    #: Path of the other image.
    other: str


def list_copies(
    samples: Sequence[Sample], traits: Mapping[bytes, Traits], similar: Iterable[tuple[bytes, bytes]] = ()
) -> Iterator[Copy]:
    """List images with copies: once for each kind of harm that their copies do.

    Args:
        samples: Examined images in their final splits.
        traits: Traits of the images.
        similar: Digests of pairs of images that look the same although their hashes differ.
    """
    same: defaultdict[bytes, list[Sample]] = defaultdict(list)
    for sample in samples:
        same[sample.digest].append(sample)
    for group in same.values():
        if len(group) > 1:
            yield from _list_harm(group, group, kinds.LEAK, kinds.CONFLICT, kinds.DUPLICATE)
    for digest, others in find_near_copies(traits, same, similar).items():
        near = [sample for other in others for sample in same[other]]
        yield from _list_harm(same[digest], near, kinds.NEAR_LEAK, kinds.NEAR_CONFLICT, kinds.NEAR_DUPLICATE)


def _list_harm(
    group: Sequence[Sample], copies: Sequence[Sample], leak: Kind, conflict: Kind, twin: Kind
) -> Iterator[Copy]:
    """List what the copies of the images of a group do to these images."""
    # Looked up once: thousands of images may be copies of one placeholder.
    of_split: dict[str, Sample] = {}
    of_label: dict[int, Sample] = {}
    first: dict[str, Sample] = {}
    for copy in copies:
        of_split.setdefault(copy.file.split, copy)
        of_label.setdefault(copy.label, copy)
        first[copy.file.split] = min(copy, first.get(copy.file.split, copy), key=_get_place)
    for sample in group:
        split = sample.file.split
        # Training uses train, and val chooses the best epoch.
        if seen := next((of_split[seen] for seen in SPLITS[: SPLITS.index(split)] if seen in of_split), None):
            yield Copy(leak, sample, str(seen.path))
        if other := next((other for label, other in of_label.items() if label != sample.label), None):
            yield Copy(conflict, sample, f"{other.path} ({other.file.class_name})")
        if (one := first.get(split)) and _get_place(one) < _get_place(sample):
            yield Copy(twin, sample, str(one.path))


def _get_place(sample: Sample) -> tuple[str, str]:
    """Return by what the images of a group are sorted. Paths would take ten times as long to build and compare."""
    return str(sample.file.folder), sample.file.location


def find_near_copies(
    traits: Mapping[bytes, Traits], digests: Iterable[bytes], similar: Iterable[tuple[bytes, bytes]] = ()
) -> dict[bytes, list[bytes]]:
    """Return the digests of the images that look the same as each image. Exact copies are not among them."""
    of_hash: defaultdict[int, list[bytes]] = defaultdict(list)
    for digest in digests:
        if found := traits[digest].hash:
            of_hash[found].append(digest)
    near: defaultdict[bytes, list[bytes]] = defaultdict(list)
    pairs = [(found, found) for found, group in of_hash.items() if len(group) > 1]
    for one, other in (*pairs, *list_near_hashes(of_hash)):
        for first, second in product(of_hash[one], of_hash[other][:_MAX_SAME]):
            if first != second:
                near[first].append(second)
                near[second].append(first)
    for first, second in similar:
        if second not in near[first]:
            near[first].append(second)
            near[second].append(first)
    return near
