"""The assignment of images to folds."""

from __future__ import annotations

from collections import Counter, defaultdict
from hashlib import sha256
from pathlib import Path
from random import Random

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from zoo.data.folds import assign_folds
from zoo.data.listing import ImageFile
from zoo.data.sample import Sample
from zoo.errors import DataError, OptionError

seeds = st.integers(0, 2**32)
counts = st.integers(2, 6)
#: Number of distinct images of each class.
sizes = st.lists(st.integers(6, 40), min_size=2, max_size=5)


def make(class_name: str, content: str, group: str | None = None, *, is_examined: bool = True) -> Sample:
    file = ImageFile(Path("photos"), f"{content}.png", "train", class_name, f"{content}.png", group)
    return Sample(file, ord(class_name[-1]), sha256(content.encode()).digest(), is_examined)


def make_classes(sizes: list[int]) -> list[Sample]:
    return [make(f"c{label}", f"{label}-{number}") for label, size in enumerate(sizes) for number in range(size)]


def count_by_fold(samples: list[Sample], folds: list[int], count: int) -> dict[str, list[int]]:
    found = Counter((sample.file.class_name, fold) for sample, fold in zip(samples, folds, strict=True))
    names = {sample.file.class_name for sample in samples}
    return {name: [found[name, fold] for fold in range(count)] for name in sorted(names)}


@given(sizes, counts, seeds)
def test_folds_differ_by_at_most_one_image_in_each_class_and_in_total(sizes: list[int], count: int, seed: int) -> None:
    samples = make_classes(sizes)
    folds = assign_folds(samples, count, seed=seed)
    totals = [folds.count(fold) for fold in range(count)]
    for found in (totals, *count_by_fold(samples, folds, count).values()):
        assert max(found) - min(found) <= 1


@given(sizes, counts, seeds, st.randoms(use_true_random=False))
def test_the_order_of_the_images_does_not_change_the_folds(
    sizes: list[int], count: int, seed: int, random: Random
) -> None:
    samples = make_classes(sizes)
    folds = dict(zip((sample.digest for sample in samples), assign_folds(samples, count, seed=seed), strict=True))
    random.shuffle(samples)
    assert assign_folds(samples, count, seed=seed) == [folds[sample.digest] for sample in samples]


def test_each_seed_assigns_different_folds() -> None:
    samples = make_classes([20, 20])
    assert len({tuple(assign_folds(samples, 5, seed=seed)) for seed in range(20)}) == 20


grouped = st.lists(
    st.tuples(st.sampled_from("ab"), st.integers(0, 40), st.sampled_from([None, *"pqrstuvw"])), min_size=20, max_size=80
)


@given(grouped, counts, seeds)
def test_copies_and_the_images_of_a_group_are_in_one_fold(
    images: list[tuple[str, int, str | None]], count: int, seed: int
) -> None:
    samples = [make(name, str(number), group) for name, number, group in images]
    try:
        folds = assign_folds(samples, count, seed=seed)
    except DataError:
        assume(False)
    found: defaultdict[object, set[int]] = defaultdict(set)
    for sample, fold in zip(samples, folds, strict=True):
        found[sample.digest].add(fold)
        found[sample.file.group or sample.digest].add(fold)
    assert all(len(places) == 1 for places in found.values())
    assert set(folds) == set(range(count))


@given(counts, seeds)
def test_images_of_one_cluster_are_in_one_fold(count: int, seed: int) -> None:
    samples = make_classes([20, 20])
    clusters = {sample.digest: samples[index // 2 * 2].digest for index, sample in enumerate(samples)}
    folds = assign_folds(samples, count, seed=seed, clusters=clusters)
    assert folds[::2] == folds[1::2]


@given(seeds)
def test_groups_are_divided_into_about_equal_folds(seed: int) -> None:
    samples = [make(f"c{number % 3}", str(number), f"patient {number // 5}") for number in range(600)]
    folds = assign_folds(samples, 5, seed=seed)
    for found in count_by_fold(samples, folds, 5).values():
        assert max(found) - min(found) <= 5


def test_images_that_were_not_examined_are_placed_by_their_names() -> None:
    samples = [make("ab"[number % 2], str(number), is_examined=False) for number in range(40)]
    changed = [
        Sample(sample.file, sample.label, sha256(sample.digest).digest(), is_examined=False) for sample in samples
    ]
    assert assign_folds(samples, 5, seed=0) == assign_folds(changed, 5, seed=0)


def test_the_error_for_a_small_class_names_it_and_says_how_many_images_it_has() -> None:
    samples = [*make_classes([9, 3]), make("c1", "1-0")]  # the last one is a copy
    with pytest.raises(DataError, match=r"5 folds need .* 'c1' has 3 different images; use at most 3 folds"):
        assign_folds(samples, 5, seed=0)


def test_more_folds_than_groups_are_refused() -> None:
    samples = [make("ab"[number % 2], str(number), f"g{number % 4}") for number in range(40)]
    with pytest.raises(
        DataError, match=r"5 folds need at least 5 groups of images, but there are 4.*use at most 4 folds"
    ):
        assign_folds(samples, 5, seed=0)


def test_a_class_that_would_be_in_a_single_fold_is_refused() -> None:
    samples = [make("a", f"a{number}", f"g{number}") for number in range(9)]
    samples += [make("b", f"b{number}", "the only one") for number in range(9)]
    with pytest.raises(DataError, match=r"would be in one fold, .*: 'b'"):
        assign_folds(samples, 3, seed=0)


def test_one_fold_is_refused() -> None:
    with pytest.raises(OptionError, match="`folds` must be at least 2, got 1"):
        assign_folds(make_classes([9, 9]), 1, seed=0)
