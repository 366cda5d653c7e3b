from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from PIL import Image
from torch import Tensor
from torchvision.transforms import functional

from zoo.data.image_transform import ImageTransform
from zoo.data.transform import build_eval_transform
from zoo.plugin import InputSpec
from zoo.testing.inputs.difference import Difference
from zoo.testing.inputs.parity import Prepared, Preprocess, prepare_upstream
from zoo.testing.inputs.photos import list_photos

EXPECTED = InputSpec(size=(3, 64, 64), resize=72, interpolation="bicubic")
HALF = (0.5, 0.5, 0.5)


def build_upstream(expected: InputSpec, *, floor: bool = False) -> Preprocess:
    """Preprocess floating-point pixels with torchvision; `floor` rounds half a pixel before the crop down."""

    def preprocess(image: Image.Image) -> Tensor:
        pixels = functional.to_tensor(image)
        mode = functional.InterpolationMode(expected.interpolation)
        resized = functional.resize(pixels, [expected.resize], mode, antialias=True).clamp(0, 1)
        height, width = expected.size[1:]
        if floor:
            top, left = (resized.shape[1] - height) // 2, (resized.shape[2] - width) // 2
            cropped = functional.crop(resized, top, left, height, width)
        else:
            cropped = functional.center_crop(resized, [height, width])
        return functional.normalize(cropped, list(expected.mean), list(expected.std))

    return preprocess


def compare(upstream: InputSpec, expected: InputSpec, **options: Any) -> Difference:
    return prepare_upstream(build_upstream(upstream, **options), expected).compare(expected)


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
@pytest.mark.parametrize("size", [64, 63])
def test_resizing_in_floating_point_is_accepted(size: int, interpolation: Any) -> None:
    expected = replace(EXPECTED, size=(3, size, size), interpolation=interpolation)
    found = compare(expected, expected)
    assert found.has_same_pixels
    assert found.has_same_normalization(expected)


def test_rounding_half_a_pixel_differently_before_the_crop_is_accepted() -> None:
    expected = replace(EXPECTED, resize=75)  # 5.5 pixels are cut off on both sides, and 5 or 6 after rounding.
    assert compare(expected, expected, floor=True).has_same_pixels
    assert compare(expected, expected).has_same_pixels


@pytest.mark.parametrize(
    "changes",
    [{"interpolation": "bilinear"}, {"interpolation": "nearest"}, {"resize": 73}, {"resize": 71}, {"resize": 64}],
    ids=str,
)
def test_another_resizing_is_not_accepted(changes: dict[str, Any]) -> None:
    assert not compare(EXPECTED, replace(EXPECTED, **changes)).has_same_pixels


@pytest.mark.parametrize("changes", [{"mean": HALF}, {"std": HALF}, {"mean": (0.486, 0.459, 0.408)}], ids=str)
def test_another_normalization_is_not_accepted_and_does_not_change_the_pixels(changes: dict[str, Any]) -> None:
    expected = replace(EXPECTED, **changes)
    found = compare(EXPECTED, expected)
    assert found.has_same_pixels
    assert not found.has_same_normalization(expected)
    assert found.has_same_normalization(EXPECTED)


@pytest.mark.parametrize("shift", [(1, 0), (0, -1), (2, 0)])
def test_a_shifted_crop_is_found_at_its_shift_only(shift: tuple[int, int]) -> None:
    plain = build_upstream(replace(EXPECTED, size=(3, 70, 70)))

    def preprocess(image: Image.Image) -> Tensor:
        return plain(image)[:, 3 + shift[0] : 67 + shift[0], 3 + shift[1] : 67 + shift[1]]

    prepared = prepare_upstream(preprocess, EXPECTED)
    assert not prepared.compare(EXPECTED).has_same_pixels
    assert prepared.compare(EXPECTED, shift).has_same_pixels


@pytest.mark.parametrize("crop", ["center", "squash", "border"])
@pytest.mark.parametrize("resize", [16, 72, 75, 331])
def test_photos_are_of_all_shapes_and_truncating_their_sides_rounds_them(crop: Any, resize: int) -> None:
    photos = list_photos(replace(EXPECTED, crop=crop, resize=resize))
    shapes = [photo.open().size for photo in photos]
    assert shapes == [photo.size[::-1] for photo in photos]
    assert shapes[0][0] > shapes[0][1]
    assert shapes[1][0] < shapes[1][1]
    assert shapes[2][0] == shapes[2][1]
    if crop == "center":
        assert all(resize * max(size) / min(size) % 1 < 0.5 for size in shapes)
    assert min(shapes[3]) < max(resize, 64)


def test_photos_are_the_same_every_time() -> None:
    again = [photo.content for photo in list_photos(replace(EXPECTED, resize=80))]
    list_photos.__globals__["_draw_photos"].cache_clear()
    assert [photo.content for photo in list_photos(replace(EXPECTED, resize=80))] == again


def test_equal_tensors_do_not_differ() -> None:
    prepare, photos = ImageTransform(build_eval_transform(EXPECTED)), list_photos(EXPECTED)
    found = Prepared(photos, tuple(prepare(photo.content) for photo in photos)).compare(EXPECTED)
    assert found.pixels < 1e-3
    assert found.has_same_normalization(EXPECTED)


def test_upstream_gets_the_photos_in_rgb() -> None:
    found = prepare_upstream(build_upstream(EXPECTED), EXPECTED)
    assert torch.equal(found.theirs[0], build_upstream(EXPECTED)(found.photos[0].open()))
