"""Decoded images are kept in memory up to the budget."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from made_samples import make_sample
from zoo.data.decode import decode_image
from zoo.data.pixel_cache import Pixels, Views
from zoo.data.sample import Sample
from zoo.data.transform import build_eval_transform, build_train_transform
from zoo.errors import DataError
from zoo.plugin import InputSpec

INPUT = InputSpec(size=(3, 12, 12), resize=14)
SIZE = 3 * 12 * 12


@pytest.fixture
def samples(tmp_path: Path, plant: Callable[[Path, Mapping[str, int]], Path]) -> list[Sample]:
    folder = plant(tmp_path, {"ant": 4})
    paths = sorted(folder.glob("ant/*.png"))
    return [make_sample(path, label) for label, path in enumerate(paths)]


def test_a_sample_is_decoded_once(samples: list[Sample]) -> None:
    pixels = Pixels(build_eval_transform(INPUT))
    first = pixels.get(samples[0]).clone()
    samples[0].path.unlink()
    assert torch.equal(pixels.get(samples[0]), first)


def test_an_offered_image_is_not_decoded_at_all(samples: list[Sample]) -> None:
    pixels = Pixels(build_eval_transform(INPUT))
    decoded = decode_image(samples[0].path)
    pixels.offer(samples[0].digest, decoded)
    samples[0].path.unlink()
    assert torch.equal(pixels.get(samples[0]), build_eval_transform(INPUT).reduce(decoded))


@pytest.mark.parametrize("augmentation", ["none", "crop-flip"])
def test_the_budget_does_not_change_the_pixels(samples: list[Sample], augmentation: str) -> None:
    kept, decoded_again = (Views.build(INPUT, augmentation, budget).train for budget in (2**20, 0))
    for _ in range(2):
        for sample in samples:
            assert torch.equal(kept.get(sample, seed=5), decoded_again.get(sample, seed=5))


def test_images_beyond_the_budget_are_decoded_again(samples: list[Sample]) -> None:
    pixels = Pixels(build_eval_transform(INPUT), budget=2 * SIZE + 1)
    for sample in samples:
        pixels.get(sample)
    for sample in samples:
        sample.path.unlink()
    for sample in samples[:2]:
        pixels.get(sample)
    for sample in samples[2:]:
        with pytest.raises(DataError, match="It was readable when the run began"):
            pixels.get(sample)


def test_a_changed_file_is_an_error(samples: list[Sample]) -> None:
    samples[0].path.write_bytes(samples[1].path.read_bytes())
    with pytest.raises(DataError, match=r"the file has changed\. It was readable when the run began"):
        Pixels(build_eval_transform(INPUT)).get(samples[0])


def test_when_the_budget_is_used_up_images_are_not_reduced_for_it(samples: list[Sample]) -> None:
    reduced: list[Tensor] = []

    def reduce(decoded: Tensor) -> Tensor:
        reduced.append(decoded)
        return decoded[:, :12, :12]

    pixels = Pixels(replace(build_eval_transform(INPUT), reduce=reduce), budget=2 * SIZE + 1)
    for sample in samples:
        pixels.offer(sample.digest, torch.zeros(3, 14, 14, dtype=torch.uint8))
    assert len(reduced) == 3


@pytest.mark.parametrize(("split", "is_train"), [("train", True), ("val", False), ("test", False)])
def test_an_image_is_kept_in_the_form_that_its_split_needs(
    samples: list[Sample], split: str, *, is_train: bool
) -> None:
    views = Views.build(INPUT, "crop-flip")
    views.offer(split, samples[0].digest, decode_image(samples[0].path))
    samples[0].path.unlink()
    (views.train if is_train else views.plain).get(samples[0], seed=1)
    with pytest.raises(DataError, match="there is no such file"):
        (views.plain if is_train else views.train).get(samples[0], seed=1)


def test_a_crop_does_not_keep_the_full_image_in_memory(samples: list[Sample]) -> None:
    pixels = Pixels(build_eval_transform(INPUT))
    pixels.offer(b"x", torch.zeros(3, 14, 400, dtype=torch.uint8))
    assert pixels.get(replace(samples[0], digest=b"x")).untyped_storage().nbytes() == SIZE


def test_forgotten_images_are_decoded_again(samples: list[Sample]) -> None:
    pixels = Pixels(build_eval_transform(INPUT))
    pixels.get(samples[0])
    pixels.forget()
    samples[0].path.unlink()
    with pytest.raises(DataError, match="there is no such file"):
        pixels.get(samples[0])


def test_training_and_evaluation_share_pixels_without_augmentation() -> None:
    shared, separate = Views.build(INPUT, "none"), Views.build(INPUT, "crop-flip")
    assert shared.train is shared.plain
    assert separate.train is not separate.plain


@pytest.mark.parametrize("size", [(40, 90), (90, 40), (20, 21), (200, 200)])
def test_large_photos_are_kept_only_as_large_as_the_smallest_crop_needs(size: tuple[int, int]) -> None:
    reduced: Tensor = build_train_transform(INPUT, "crop-flip").reduce(torch.zeros(3, *size, dtype=torch.uint8))
    height, width = reduced.shape[-2:]
    assert min(height, width) == min(21, *size)  # 12 / sqrt(0.35) is 20.3
    assert height / width == pytest.approx(size[0] / size[1], rel=0.06)
