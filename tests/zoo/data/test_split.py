"""The choice of images for validation."""

from __future__ import annotations

from collections import defaultdict
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from zoo.data.split import VAL_FRACTION, choose_splits
from zoo.data.units import Labeled

#: Number of distinct images of each class; no image is in two classes.
sizes = st.lists(st.integers(1, 60), min_size=1, max_size=5)
seeds = st.integers(0, 2**32)


def split_off_val(images: list[tuple[str, bytes]], *, seed: int) -> set[bytes]:
    chosen = choose_splits((Labeled(*image) for image in images), {"val": VAL_FRACTION}, seed=seed)
    assert set(chosen.values()) <= {"val"}
    return set(chosen)


def images_of(counts: list[int]) -> list[tuple[str, bytes]]:
    return [(f"c{label}", b"%d-%d" % (label, number)) for label, count in enumerate(counts) for number in range(count)]


@given(sizes, seeds)
def test_a_fifth_of_each_class_is_chosen_and_never_all_of_it(counts: list[int], seed: int) -> None:
    chosen = split_off_val(images_of(counts), seed=seed)
    for label, count in enumerate(counts):
        num_val = sum(digest.startswith(b"%d-" % label) for digest in chosen)
        assert abs(num_val - VAL_FRACTION * count) <= 1
        assert num_val < count
        assert num_val >= 1 or count == 1


@given(sizes, seeds, st.randoms(use_true_random=False))
def test_neither_order_nor_copies_change_the_choice(counts: list[int], seed: int, random: Random) -> None:
    images = images_of(counts)
    shuffled = images + images[::3]
    random.shuffle(shuffled)
    assert split_off_val(shuffled, seed=seed) == split_off_val(images, seed=seed)


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from([b"%d" % n for n in range(12)])), max_size=60), seeds)
def test_an_image_in_several_classes_stays_in_train(images: list[tuple[str, bytes]], seed: int) -> None:
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
    assert before == {digest for digest in after if not digest.startswith(b"2-")}


@given(sizes, seeds)
def test_each_class_is_divided_by_all_fractions(counts: list[int], seed: int) -> None:
    images = [Labeled(*image) for image in images_of(counts)]
    chosen = choose_splits(images, {"val": 0.2, "test": 0.2}, seed=seed)
    for label, count in enumerate(counts):
        splits = [split for digest, split in chosen.items() if digest.startswith(b"%d-" % label)]
        expected = max(1, round(0.2 * count))
        assert splits.count("val") == (expected if count > 1 else 0)
        assert splits.count("test") == (expected if count > 2 else 0)


@given(sizes, seeds)
def test_val_is_the_same_with_and_without_test(counts: list[int], seed: int) -> None:
    images = [Labeled(*image) for image in images_of(counts)]
    both = choose_splits(images, {"val": 0.2, "test": 0.1}, seed=seed)
    alone = choose_splits(images, {"val": 0.2}, seed=seed)
    assert {digest for digest, split in both.items() if split == "val"} == alone.keys()


groups = st.lists(
    st.tuples(st.sampled_from("ab"), st.integers(0, 40), st.sampled_from([None, *"pqrstuvw"])), min_size=1, max_size=80
)


@given(groups, seeds)
def test_images_of_a_group_and_copies_stay_together(images: list[tuple[str, int, str | None]], seed: int) -> None:
    labeled = [Labeled(name, b"%d" % digest, group) for name, digest, group in images]
    chosen = choose_splits(labeled, {"val": 0.2, "test": 0.2}, seed=seed)
    splits = defaultdict(set)
    for image in labeled:
        if image.group:
            splits[image.group].add(chosen.get(image.digest, "train"))
    assert all(len(found) == 1 for found in splits.values())


@given(seeds)
def test_groups_are_divided_in_about_the_wanted_proportions(seed: int) -> None:
    labeled = [
        Labeled(f"c{number % 3}", b"%d" % number, f"patient {number // 5}") for number in range(600)
    ]  # 120 groups of 5 images
    chosen = choose_splits(labeled, {"val": 0.2, "test": 0.2}, seed=seed)
    for name in ("c0", "c1", "c2"):
        splits = [chosen.get(image.digest, "train") for image in labeled if image.class_name == name]
        assert [round(splits.count(split) / 200, 1) for split in ("train", "val", "test")] == [0.6, 0.2, 0.2]


@given(st.integers(1, 12), st.integers(1, 20), seeds, st.sampled_from([{"val": 0.2}, {"val": 0.2, "test": 0.2}]))
def test_every_split_gets_a_group_while_there_are_enough(
    count: int, size: int, seed: int, fractions: dict[str, float]
) -> None:
    labeled = [Labeled("ab"[n // count % 2], b"%d" % n, f"g{n % count}") for n in range(count * size)]
    chosen = choose_splits(labeled, fractions, seed=seed)
    filled = {chosen.get(image.digest, "train") for image in labeled}
    assert len(filled) == min(count, 1 + len(fractions))
    assert "train" in filled


def test_a_group_is_moved_only_if_train_keeps_all_classes() -> None:
    sizes = {"p": ("a", 5), "q": ("b", 5), "r": ("a", 3), "s": ("c", 1)}  # s is the smallest, but the only one of c
    labeled = [
        Labeled(name, f"{group}{n}".encode(), group) for group, (name, size) in sizes.items() for n in range(size)
    ]
    chosen = choose_splits(labeled, {"val": 0.01}, seed=0)
    assert {digest[:1] for digest in chosen} == {b"r"}


def test_a_split_with_the_fraction_zero_gets_no_group() -> None:
    labeled = [Labeled("ab"[n % 2], b"%d" % n, f"g{n // 2}") for n in range(20)]
    assert set(choose_splits(labeled, {"val": 0.2, "test": 0.0}, seed=0).values()) == {"val"}


labels = st.lists(st.tuples(st.sampled_from("abcd"), st.integers(0, 40), st.sampled_from("pqrst")), min_size=1)


@given(labels, seeds, st.sampled_from([{"val": 0.2}, {"val": 0.2, "test": 0.2}, {"val": 0.4, "test": 0.5}]))
def test_every_class_keeps_an_image_in_train(
    images: list[tuple[str, int, str]], seed: int, fractions: dict[str, float]
) -> None:
    labeled = [Labeled(name, b"%d" % digest, group) for name, digest, group in images]
    chosen = choose_splits(labeled, fractions, seed=seed)
    assert {image.class_name for image in labeled if image.digest not in chosen} == {name for name, *_ in images}
