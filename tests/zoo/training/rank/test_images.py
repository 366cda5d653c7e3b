"""If there are too many images, some of each class are chosen."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from zoo.data.listing import ImageFile
from zoo.training.rank.images import choose_images


def make(**counts: int) -> list[ImageFile]:
    return [
        ImageFile(Path("photos"), f"{name}/{number}.png", "train", name, f"{number}.png")
        for name, count in counts.items()
        for number in range(count)
    ]


def count(files: list[ImageFile]) -> Counter[str]:
    return Counter(file.class_name for file in files)


def test_few_images_are_all_used() -> None:
    files = make(a=3, b=4)
    assert choose_images(files, 7, 0) == files


def test_classes_keep_their_proportions() -> None:
    assert count(choose_images(make(a=1000, b=500), 150, 0)) == {"a": 100, "b": 50}


def test_a_small_class_keeps_a_few_images() -> None:
    assert count(choose_images(make(a=10_000, b=5), 100, 0)) == {"a": 95, "b": 5}


def test_every_class_keeps_two_images() -> None:
    assert count(choose_images(make(a=100, b=100, c=100), 6, 0)) == {"a": 2, "b": 2, "c": 2}


def test_the_seed_determines_the_choice_and_the_order_is_kept() -> None:
    files = make(a=100, b=100)
    chosen = choose_images(files, 20, 0)
    assert chosen == choose_images(files, 20, 0) != choose_images(files, 20, 1)
    assert chosen == [file for file in files if file in chosen]
