"""The order of samples, and the seeds of their augmentation."""

from __future__ import annotations

import tracemalloc

from hypothesis import given
from hypothesis import strategies as st

from zoo.data.sampler import Sampler, balance_sample_weights, mix_seed, seed_of_step

counts = st.integers(0, 200)
batch_sizes = st.integers(1, 40)
seeds = st.integers(0, 2**40)


@given(counts, batch_sizes, seeds, st.integers(0, 1000))
def test_an_epoch_contains_every_sample_once(count: int, batch_size: int, seed: int, epoch: int) -> None:
    batches = list(Sampler(batch_size, seed).plan(count, epoch))
    assert sorted(index for batch in batches for index in batch) == list(range(count))
    assert batches == list(Sampler(batch_size, seed).plan(count, epoch))


@given(counts, batch_sizes, seeds)
def test_only_a_single_last_sample_makes_a_batch_larger_than_the_batch_size(
    count: int, batch_size: int, seed: int
) -> None:
    sizes = [len(batch) for batch in Sampler(batch_size, seed).plan(count, 0)]
    assert all(size == batch_size for size in sizes[:-2])
    if batch_size > 1 and count > 1:
        assert 1 not in sizes
        is_joined = count > batch_size and count % batch_size == 1
        assert sizes[-1:] == [batch_size + 1 if is_joined else count % batch_size or batch_size]


@given(st.integers(0, 40), st.integers(1, 9), st.integers(1, 3), st.booleans())
def test_the_number_of_batches_is_known_without_a_plan(count: int, batch_size: int, ranks: int, all_: bool) -> None:  # noqa: FBT001  # hypothesis passes no keywords
    sampler = Sampler(batch_size, 0, ranks=ranks, needs_all_processes=all_)
    sizes = [len(batch) for batch in sampler.plan(count, 0)]
    assert sampler.count_batches(count) == len(sizes)
    assert sum(sizes) == count
    assert not all_ or batch_size < 2 * ranks or len(sizes) < 2 or sizes[-1] >= 2 * ranks


def test_only_one_batch_of_an_epoch_is_a_list_at_a_time() -> None:
    sampler, count = Sampler(100, 0), 100_000
    list(sampler.plan(1000, 0))  # allocates what is needed only once
    tracemalloc.start()
    try:
        total = sum(map(len, sampler.plan(count, 0)))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert total == count
    assert peak < count  # a list of all indices has 8 bytes for each, and its numbers have 32


@given(st.integers(10, 200), seeds)
def test_the_order_does_not_depend_on_the_batch_size(count: int, seed: int) -> None:
    flat = [[index for batch in Sampler(size, seed).plan(count, 3) for index in batch] for size in (1, 4, 64)]
    assert flat[0] == flat[1] == flat[2]


def test_every_epoch_and_seed_has_a_different_order() -> None:
    orders = [next(Sampler(50, seed).plan(50, epoch)) for seed in range(4) for epoch in range(4)]
    assert len({tuple(order) for order in orders}) == 16
    assert list(range(50)) not in orders


def test_no_two_samples_have_the_same_seed() -> None:
    seen = {mix_seed(seed, epoch, index) for seed in range(5) for epoch in range(20) for index in range(100)}
    assert len(seen) == 5 * 20 * 100
    assert all(0 <= number < 2**63 for number in seen)
    assert mix_seed(1, 12) != mix_seed(11, 2)


# Balanced classes.


@given(st.lists(st.integers(0, 4), min_size=2, max_size=60), seeds)
def test_sample_weights_make_all_classes_equally_likely(labels: list[int], seed: int) -> None:
    sample_weights = balance_sample_weights(labels)
    sums = {
        label: sum(c for c, other in zip(sample_weights, labels, strict=True) if other == label) for label in labels
    }
    assert all(abs(total - 1) < 1e-9 for total in sums.values())
    batches = list(Sampler(7, seed, sample_weights=sample_weights).plan(len(labels), 1))
    assert sum(map(len, batches)) == len(labels)
    assert batches == list(Sampler(7, seed, sample_weights=sample_weights).plan(len(labels), 1))


def test_a_rare_class_is_sampled_as_often_as_a_frequent_one() -> None:
    labels = [0] * 950 + [1] * 50
    order = Sampler(32, seed=0, sample_weights=balance_sample_weights(labels))
    drawn = [labels[index] for epoch in range(10) for batch in order.plan(1000, epoch) for index in batch]
    assert 0.47 < sum(drawn) / len(drawn) < 0.53


# Several processes.


@given(st.integers(0, 60), st.integers(1, 9), st.integers(1, 3))
def test_the_parts_of_a_batch_are_consecutive_and_nearly_equal(count: int, ranks: int, least: int) -> None:
    batch = range(100, 100 + count)
    parts = [Sampler(60, 0, rank=rank, ranks=ranks, least=least).local_part(batch) for rank in range(ranks)]
    assert [index for part in parts for index in part] == [*batch]
    sizes = [len(part) for part in parts if part]
    assert not sizes or max(sizes) - min(sizes) <= 1
    assert len(sizes) <= 1 or min(sizes) >= least
    assert len(sizes) == ranks or count < least * ranks or not count  # A part is empty only if the batch is too small.


def test_each_process_has_its_own_seed_and_the_first_has_that_of_a_single_process() -> None:
    seeds = {seed_of_step(3, epoch, step, rank) for epoch in range(3) for step in range(20) for rank in range(5)}
    assert len(seeds) == 3 * 20 * 5
    assert seed_of_step(3, 1, 2, 0) == seed_of_step(3, 1, 2)
