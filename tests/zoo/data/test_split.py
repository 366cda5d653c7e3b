"""The choice of images for validation."""

from __future__ import annotations

from collections import defaultdict
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from zoo.data.split import VAL_FRACTION, split_off_val

#: Number of distinct images of each class; no image is in two classes.
sizes = st.lists(st.integers(1, 60), min_size=1, max_size=5)
seeds = st.integers(0, 2**32)


def images_of(counts: list[int]) -> list[tuple[str, str]]:
    return [(f"c{label}", f"{label}-{number}") for label, count in enumerate(counts) for number in range(count)]


@given(sizes, seeds)
def test_a_fifth_of_each_class_is_chosen_and_never_all_of_it(counts: list[int], seed: int) -> None:
    chosen = split_off_val(images_of(counts), seed=seed)
    for label, count in enumerate(counts):
        num_val = sum(digest.startswith(f"{label}-") for digest in chosen)
        assert abs(num_val - VAL_FRACTION * count) <= 1
        assert num_val < count
        assert num_val >= 1 or count == 1


@given(sizes, seeds, st.randoms(use_true_random=False))
def test_neither_order_nor_copies_change_the_choice(counts: list[int], seed: int, random: Random) -> None:
    images = images_of(counts)
    shuffled = images + images[::3]
    random.shuffle(shuffled)
    assert split_off_val(shuffled, seed=seed) == split_off_val(images, seed=seed)


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from([f"{n}" for n in range(12)])), max_size=60), seeds)
def test_an_image_in_several_classes_stays_in_train(images: list[tuple[str, str]], seed: int) -> None:
    chosen = split_off_val(images, seed=seed)
    classes = defaultdict(set)
    for name, digest in images:
        classes[digest].add(name)
    assert chosen <= classes.keys()
    assert all(len(classes[digest]) == 1 for digest in chosen)


def test_each_seed_makes_a_different_choice() -> None:
    images = images_of([50, 50])
    choices = [frozenset(split_off_val(images, seed=seed)) for seed in range(20)]
    assert len(set(choices)) == 20
    # No image is preferred: with 20 seeds, 98.8% of the images (1 - 0.8 ** 20) are chosen at least once.
    assert len(frozenset().union(*choices)) > 90


def test_a_new_class_does_not_change_the_choice_for_the_others() -> None:
    before = split_off_val(images_of([30, 30]), seed=1)
    after = split_off_val(images_of([30, 30, 30]), seed=1)
    assert before == {digest for digest in after if not digest.startswith("2-")}
