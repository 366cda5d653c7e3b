"""Preprocessing of decoded images."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torchvision.transforms import v2
from torchvision.transforms.v2.functional import pil_to_tensor

from zoo.data.transform import CROP_SCALE, MAX_ASPECT, build_eval_transform, build_train_transform, draw_box
from zoo.errors import OptionError
from zoo.plugin import InputSpec

Draw = Callable[..., Image.Image]

PLAIN = {"mean": (0.0, 0.0, 0.0), "std": (1.0, 1.0, 1.0)}


def gradient(height: int, width: int) -> Tensor:
    """Return pixels that encode their position: channel 0 rises from 0 to 255 to the right, channel 1 downward."""
    across = torch.linspace(0, 255, width).round().to(torch.uint8).expand(height, width)
    down = torch.linspace(0, 255, height).round().to(torch.uint8)[:, None].expand(height, width)
    return torch.stack([across, down, torch.full((height, width), 255, dtype=torch.uint8)])


@pytest.mark.parametrize("interpolation", ["nearest", "bilinear", "bicubic"])
@pytest.mark.parametrize("size", [(90, 61), (61, 90), (20, 14)])
def test_the_default_matches_pillow_as_published_weights_expect(
    draw: Draw, interpolation: str, size: tuple[int, int]
) -> None:
    image = draw(3, size)
    spec = InputSpec(size=(3, 28, 28), resize=32, interpolation=interpolation, **PLAIN)
    short, long = sorted(size)
    scaled = (32, int(32 * long / short)) if size[0] == short else (int(32 * long / short), 32)
    theirs = image.resize(scaled, getattr(Image.Resampling, interpolation.upper()))
    left, top = round((scaled[0] - 28) / 2), round((scaled[1] - 28) / 2)
    theirs = pil_to_tensor(theirs.crop((left, top, left + 28, top + 28)))
    ours = build_eval_transform(spec)(pil_to_tensor(image))
    assert (255 * ours - theirs).abs().max() <= 1.01


def test_each_channel_is_normalized_separately() -> None:
    spec = InputSpec(size=(3, 4, 4), resize=4, mean=(0.1, 0.2, 0.3), std=(0.5, 0.25, 2.0))
    pixels = torch.tensor([0, 255, 51], dtype=torch.uint8)[:, None, None].expand(3, 4, 4).contiguous()
    result = build_eval_transform(spec)(pixels)
    assert result.dtype == torch.float32
    torch.testing.assert_close(result[:, 0, 0], torch.tensor([-0.1 / 0.5, 0.8 / 0.25, (0.2 - 0.3) / 2.0]))


def test_center_cuts_off_the_ends_and_squash_keeps_them() -> None:
    pixels = gradient(40, 80)
    center = build_eval_transform(InputSpec(size=(3, 32, 32), resize=32, **PLAIN))(pixels)
    squash = build_eval_transform(InputSpec(size=(3, 32, 32), resize=32, crop="squash", **PLAIN))(pixels)
    assert center[0].min() > 0.2
    assert center[0].max() < 0.8
    assert squash[0].min() < 0.03
    assert squash[0].max() > 0.97


def test_squash_fits_the_full_image_into_an_input_that_is_not_square() -> None:
    spec = InputSpec(size=(3, 32, 24), resize=32, crop="squash", **PLAIN)
    result = build_eval_transform(spec)(gradient(40, 80))
    assert result[0].min() < 0.03
    assert result[0].max() > 0.97


def test_border_keeps_the_full_image_and_pads_with_the_mean_color() -> None:
    spec = InputSpec(size=(3, 32, 32), resize=32, crop="border", mean=(0.2, 0.4, 0.6), std=(1.0, 1.0, 1.0))
    result = build_eval_transform(spec)(gradient(40, 80)) + torch.tensor(spec.mean)[:, None, None]
    bars = torch.cat([result[:, :8], result[:, 24:]], dim=1)
    torch.testing.assert_close(bars, torch.tensor(spec.mean)[:, None, None].expand_as(bars))
    picture = result[:, 8:24]
    assert picture[0].min() < 0.03
    assert picture[0].max() > 0.97
    assert (picture[2] > 0.99).all()


def test_border_rounds_the_shorter_side(draw: Draw) -> None:
    image = draw(5, (50, 33))  # 32 / 50 * 33 = 21.12
    other = draw(6, (50, 34))  # 32 / 50 * 34 = 21.76
    spec = InputSpec(size=(3, 32, 32), resize=32, crop="border", mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))
    rows = [int((build_eval_transform(spec)(pil_to_tensor(i)).sum(dim=(0, 2)) > 0).sum()) for i in (image, other)]
    assert rows == [21, 22]


@settings(deadline=None, max_examples=40)
@given(
    st.integers(1, 80),
    st.integers(1, 80),
    st.sampled_from(["center", "squash", "border"]),
    st.sampled_from([(32, 32, 32), (32, 32, 20), (24, 40, 30), (40, 24, 48)]),
)
def test_every_image_gets_the_size_of_the_input(
    height: int, width: int, crop: str, sizes: tuple[int, int, int]
) -> None:
    spec = InputSpec(size=(3, *sizes[:2]), resize=sizes[2], crop=crop)
    for transform in (build_eval_transform(spec), build_train_transform(spec, "crop-flip")):
        result = transform(gradient(height, width), torch.Generator().manual_seed(0))
        assert result.shape == (3, *sizes[:2])
        assert result.isfinite().all()


class LargestTensor(TorchFunctionMode):
    """A mode that records the number of elements of the largest tensor that torch returns."""

    numel = 0

    def __torch_function__(
        self, func: Callable[..., Any], types: object, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        if isinstance(result, Tensor):
            self.numel = max(self.numel, result.numel())
        return result


@pytest.mark.parametrize("crop", ["center", "squash", "border"])
@pytest.mark.parametrize("shape", [(1, 20_000), (20_000, 1)])
def test_an_extremely_elongated_image_does_not_take_much_memory(crop: str, shape: tuple[int, int]) -> None:
    transform = build_eval_transform(InputSpec(size=(3, 32, 32), resize=32, crop=crop))
    image = gradient(*shape)
    with LargestTensor() as watch:
        assert transform(image).shape == (3, 32, 32)
    assert 0 < watch.numel <= 3 * 32 * 32 * MAX_ASPECT


def test_the_eval_transform_uses_no_random_numbers() -> None:
    state = torch.get_rng_state()
    transform = build_train_transform(InputSpec(size=(3, 16, 16), resize=20), "none")
    assert torch.equal(transform(gradient(30, 40)), transform(gradient(30, 40)))
    assert torch.equal(torch.get_rng_state(), state)


def test_random_crops_keep_at_least_a_third_and_half_are_flipped() -> None:
    transform = build_train_transform(InputSpec(size=(3, 32, 32), **PLAIN), "crop-flip")
    generator = torch.Generator().manual_seed(0)
    areas, flips = [], 0
    for _ in range(400):
        result = transform(gradient(128, 128), generator)
        across = (result[0].max() - result[0].min()).item()
        down = (result[1].max() - result[1].min()).item()
        areas.append(across * down)
        flips += bool(result[0, 0, 0] > result[0, 0, -1])
        assert result[1, 0, 0] < result[1, -1, 0]  # Images are never flipped vertically.
    assert CROP_SCALE[0] == 0.35
    assert 0.29 < min(areas) < 0.4  # The measured area is smaller by half a pixel on each side.
    assert max(areas) > 0.85
    assert 160 < flips < 240


def test_the_same_seed_results_in_the_same_augmentation() -> None:
    transform = build_train_transform(InputSpec(size=(3, 16, 16)), "crop-flip")
    results = [transform(gradient(30, 40), torch.Generator().manual_seed(seed)) for seed in (1, 1, 2)]
    assert torch.equal(results[0], results[1])
    assert not torch.equal(results[0], results[2])


def test_augmentation_uses_only_its_generator() -> None:
    state = torch.get_rng_state()
    build_train_transform(InputSpec(size=(3, 16, 16)), "crop-flip")(gradient(30, 40), torch.Generator().manual_seed(0))
    assert torch.equal(torch.get_rng_state(), state)


@settings(deadline=None, max_examples=60)
@given(st.integers(1, 300), st.integers(1, 300), st.integers(0, 2**31))
def test_a_random_crop_is_inside_the_image(height: int, width: int, seed: int) -> None:
    top, left, crop_height, crop_width = draw_box(height, width, torch.Generator().manual_seed(seed))
    assert 0 <= top < top + crop_height <= height
    assert 0 <= left < left + crop_width <= width


def test_random_crops_have_the_same_distribution_as_torchvisions() -> None:
    generator = torch.Generator().manual_seed(0)
    torch.manual_seed(0)
    crop = v2.RandomResizedCrop(32, CROP_SCALE)
    theirs = [crop.make_params([torch.zeros(3, 60, 90)]) for _ in range(3000)]
    expected = torch.tensor([[one[name] for name in ("top", "left", "height", "width")] for one in theirs])
    found = torch.tensor([draw_box(60, 90, generator) for _ in range(3000)])
    torch.testing.assert_close(found.float().mean(0), expected.float().mean(0), atol=0.8, rtol=0)
    torch.testing.assert_close(found.float().std(0), expected.float().std(0), atol=0.8, rtol=0)


def test_a_batch_is_normalized_like_each_of_its_images() -> None:
    transform = build_eval_transform(InputSpec(size=(3, 16, 16)))
    crops = torch.stack([transform.reduce(gradient(30, side)) for side in (30, 50)])
    assert torch.equal(transform.normalize(crops), torch.stack([transform.normalize(crop) for crop in crops]))


def test_an_unknown_augmentation_is_an_error_that_lists_the_known_ones() -> None:
    with pytest.raises(OptionError, match="'mixup'; choose one of crop-flip, trivial, rand, none"):
        build_train_transform(InputSpec(), "mixup")
