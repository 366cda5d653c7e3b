"""What is decoded once is not decoded again, as far as memory goes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import torch
from torch import Tensor

from zoo.data.image import decode_image
from zoo.data.images import Sample
from zoo.data.pixels import Pixels, Views
from zoo.data.transform import build_eval_transform, build_train_transform
from zoo.errors import DataError
from zoo.plugin import InputSpec

INPUT = InputSpec(size=(3, 12, 12), resize=14)
SIZE = 3 * 12 * 12


@pytest.fixture
def samples(tmp_path: Path, plant: Callable[[Path, Mapping[str, int]], Path]) -> list[Sample]:
    folder = plant(tmp_path, {"ant": 4})
    return [Sample(path, label, str(label)) for label, path in enumerate(sorted(folder.glob("ant/*.png")))]


def test_a_sample_is_decoded_once(samples: list[Sample]) -> None:
    pixels = Pixels(build_eval_transform(INPUT))
    first = pixels.get(samples[0]).clone()
    samples[0].path.unlink()
    assert torch.equal(pixels.get(samples[0]), first)


def test_what_was_offered_is_not_decoded_at_all(samples: list[Sample]) -> None:
    pixels = Pixels(build_eval_transform(INPUT))
    decoded = decode_image(samples[0].path)
    pixels.offer(samples[0].digest, decoded)
    samples[0].path.unlink()
    assert torch.equal(pixels.get(samples[0]), build_eval_transform(INPUT).reduce(decoded))


@pytest.mark.parametrize("augmentation", ["none", "crop-flip"])
def test_memory_changes_no_pixel(samples: list[Sample], augmentation: str) -> None:
    with_memory, without = (Views.build(INPUT, augmentation, budget).train for budget in (2**20, 0))
    for _ in range(2):
        for sample in samples:
            assert torch.equal(with_memory.get(sample, seed=5), without.get(sample, seed=5))


def test_the_budget_is_kept_and_the_rest_is_decoded_again(samples: list[Sample]) -> None:
    pixels = Pixels(build_eval_transform(INPUT), budget=2 * SIZE + 1)
    for sample in samples:
        pixels.get(sample)
    for sample in samples:
        sample.path.unlink()
    for sample in samples[:2]:
        pixels.get(sample)
    for sample in samples[2:]:
        with pytest.raises(DataError, match="It could be read when the run began"):
            pixels.get(sample)


def test_a_crop_does_not_keep_the_whole_image(samples: list[Sample]) -> None:
    pixels = Pixels(build_eval_transform(INPUT))
    pixels.offer("x", torch.zeros(3, 14, 400, dtype=torch.uint8))
    assert pixels.get(Sample(samples[0].path, 0, "x")).untyped_storage().nbytes() == SIZE


def test_what_is_forgotten_is_decoded_again(samples: list[Sample]) -> None:
    pixels = Pixels(build_eval_transform(INPUT))
    pixels.get(samples[0])
    pixels.forget()
    samples[0].path.unlink()
    with pytest.raises(DataError, match="there is no such file"):
        pixels.get(samples[0])


def test_training_and_measuring_share_what_is_the_same() -> None:
    assert len(Views.build(INPUT, "none").list_pixels()) == 1
    assert len(Views.build(INPUT, "crop-flip").list_pixels()) == 2


@pytest.mark.parametrize("size", [(40, 90), (90, 40), (20, 21), (200, 200)])
def test_large_photos_are_kept_no_larger_than_the_smallest_part_needs(size: tuple[int, int]) -> None:
    reduced: Tensor = build_train_transform(INPUT, "crop-flip").reduce(torch.zeros(3, *size, dtype=torch.uint8))
    height, width = reduced.shape[-2:]
    assert min(height, width) == min(21, *size)  # 12 / sqrt(0.35) is 20.3
    assert height / width == pytest.approx(size[0] / size[1], rel=0.06)
