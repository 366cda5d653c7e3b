"""Images that look the same are in one cluster, directly or through others."""

from __future__ import annotations

from pathlib import Path

from zoo.data.examination.clusters import MAX_SIZE, find_clusters
from zoo.data.examination.traits import Traits
from zoo.data.listing import ImageFile
from zoo.data.sample import Sample


def make(hashes: dict[bytes, int]) -> tuple[list[Sample], dict[bytes, Traits]]:
    samples = [Sample(ImageFile(Path("x"), digest.hex(), "train", "a", digest.hex()), 0, digest) for digest in hashes]
    return samples, {digest: Traits(hash=value) for digest, value in hashes.items()}


def bits(*places: int) -> int:
    return sum(1 << place for place in places)


def test_near_copies_and_their_near_copies_are_in_one_cluster() -> None:
    base = bits(*range(0, 60, 2))
    chain = {
        b"c": base,
        b"a": base ^ bits(1, 3, 5),
        b"b": base ^ bits(1, 3, 5, 7, 9, 11),
        b"z": base ^ bits(*range(1, 40, 2)),
    }
    assert find_clusters(*make(chain)) == {b"a": b"a", b"b": b"a", b"c": b"a"}


def test_images_with_the_same_hash_are_in_one_cluster_and_plain_ones_in_none() -> None:
    assert find_clusters(*make({b"p": 0, b"q": 0, b"r": 7, b"s": 7})) == {b"r": b"r", b"s": b"r"}


def test_a_cluster_of_too_many_images_is_left_out() -> None:
    many = {number.to_bytes(2): 5 for number in range(MAX_SIZE + 1)}
    assert find_clusters(*make(many)) == {}
    assert len(find_clusters(*make(dict([*many.items()][:-1])))) == MAX_SIZE


def test_images_that_were_not_examined_are_in_no_cluster() -> None:
    samples, _ = make({b"r": 7, b"s": 7})
    assert find_clusters(samples, {}) == {}
