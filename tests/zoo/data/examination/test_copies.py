"""Copies of images, and what they do to each image."""

from __future__ import annotations

from pathlib import Path

import pytest

from zoo.data.examination.copies import list_copies
from zoo.data.examination.traits import Traits
from zoo.data.listing import ImageFile
from zoo.data.sample import Sample

DIGEST = b"x" * 32


def copy_image(split: str, class_name: str, name: str) -> Sample:
    label = ("ant", "bee", "wasp").index(class_name)
    return Sample(ImageFile(Path("photos"), f"{split}/{name}", split, class_name, name), label, DIGEST)


def list_found(samples: list[Sample]) -> set[tuple[str, str, str]]:
    found = list_copies(samples, {DIGEST: Traits()})
    return {(copy.kind.code, copy.sample.path.as_posix(), copy.other) for copy in found}


def test_each_harm_of_a_copy_is_listed_with_the_other_image() -> None:
    samples = [copy_image("train", "ant", "1"), copy_image("train", "bee", "2"), copy_image("test", "bee", "3")]
    assert list_found(samples) == {
        ("conflict", "photos/train/1", "photos/train/2 (bee)"),
        ("conflict", "photos/train/2", "photos/train/1 (ant)"),
        ("duplicate", "photos/train/2", "photos/train/1"),
        ("leak", "photos/test/3", "photos/train/1"),
        ("conflict", "photos/test/3", "photos/train/1 (ant)"),
    }


def test_thousands_of_copies_of_one_image_are_not_compared_pair_by_pair(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[Path] = []

    def count(file: ImageFile) -> Path:
        read.append(file.folder / file.location)
        return read[-1]

    monkeypatch.setattr(ImageFile, "path", property(count))
    found = list_found([copy_image("train", "ant", f"{number:04}") for number in range(500)])
    assert len(found) == 499
    assert len(read) < 10 * 500
