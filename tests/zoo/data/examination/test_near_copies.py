"""All pairs of near hashes are found, and no others."""

from __future__ import annotations

from itertools import combinations

from hypothesis import given
from hypothesis import strategies as st

from zoo.data.examination.near_copies import MAX_DISTANCE, list_near_hashes

HASHES = st.integers(1, 2**63 - 1)
FLIPS = st.lists(st.integers(0, 62), max_size=7, unique=True)


def flip(value: int, bits: list[int]) -> int:
    for bit in bits:
        value ^= 1 << bit
    return value


@given(st.lists(st.tuples(HASHES, FLIPS), max_size=12))
def test_the_pairs_are_those_of_comparing_all(seeds: list[tuple[int, list[int]]]) -> None:
    hashes = {value for value, _ in seeds} | {flip(value, bits) for value, bits in seeds} - {0}
    expected = [
        (one, other) for one, other in combinations(sorted(hashes), 2) if (one ^ other).bit_count() <= MAX_DISTANCE
    ]
    assert list_near_hashes(hashes) == expected


def test_images_without_a_hash_are_not_near() -> None:
    assert list_near_hashes([0, 0, 1, 1]) == []


def test_many_similar_hashes_are_compared_in_linear_time() -> None:
    hashes = [2**40 + number for number in range(2000)]
    assert len(list_near_hashes(hashes)) <= 5 * 100 * len(hashes)
    assert {value for pair in list_near_hashes(hashes) for value in pair} == set(hashes)
