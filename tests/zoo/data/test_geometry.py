"""Resizing, cropping and padding return the same pixels as torchvision."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2 import functional

from zoo.data.geometry import crop_center, pad, resize, resize_shorter

MODES = {
    "nearest": InterpolationMode.NEAREST_EXACT,
    "bilinear": InterpolationMode.BILINEAR,
    "bicubic": InterpolationMode.BICUBIC,
}
SIDES = st.integers(1, 90)
#: torch 2.14 raises an error when it resizes one column of an image to one pixel.
LARGER = st.integers(2, 90)


def draw(channels: int, height: int, width: int, layout: str = "planes") -> Tensor:
    """Draw random pixels. In the layout ``pixels``, the channels of a pixel are next to each other, as in a photo."""
    generator = torch.Generator().manual_seed(height * 1000 + width)
    if layout == "planes":
        return torch.randint(0, 256, (channels, height, width), generator=generator, dtype=torch.uint8)
    pixels = torch.randint(0, 256, (height + 3, width + 5, channels), generator=generator, dtype=torch.uint8)
    whole = pixels.permute(2, 0, 1)
    return whole[:, 2 : 2 + height, 1 : 1 + width] if layout == "part" else pixels[:height, :width].permute(2, 0, 1)


@pytest.mark.parametrize("layout", ["planes", "pixels", "part"])
@pytest.mark.parametrize("channels", [1, 3, 4, 5])
@pytest.mark.parametrize("interpolation", MODES)
@settings(max_examples=15)
@given(before=st.tuples(SIDES, SIDES), after=st.tuples(LARGER, LARGER))
def test_a_resized_image_has_torchvisions_pixels(
    interpolation: str, channels: int, layout: str, before: tuple[int, int], after: tuple[int, int]
) -> None:
    image = draw(channels, *before, layout)
    theirs = functional.resize(image, [*after], interpolation=MODES[interpolation], antialias=True)
    assert torch.equal(resize(image, after, interpolation), theirs)


def test_a_processor_without_vector_instructions_resizes_like_torchvision(monkeypatch: pytest.MonkeyPatch) -> None:
    fast = resize(draw(3, 90, 70), (33, 32))
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "DEFAULT")
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    image = draw(3, 90, 70)
    assert torch.equal(resize(image, (33, 32)), functional.resize(image, [33, 32], antialias=True))
    assert (resize(image, (33, 32)).int() - fast.int()).abs().max() <= 1


@settings(max_examples=100)
@given(height=st.integers(1, 5000), width=st.integers(1, 5000), side=st.integers(1, 400))
def test_the_longer_side_is_as_long_as_in_torchvision(height: int, width: int, side: int) -> None:
    # A tensor without memory of its own, so that large images cost nothing, and nearest to compute little.
    image = torch.zeros(1, 1, 1, dtype=torch.uint8).expand(1, height, width)
    if max(height, width) // min(height, width) > 20:
        return
    theirs = functional.resize(image, [side], interpolation=InterpolationMode.NEAREST_EXACT)
    assert resize_shorter(image, side, "nearest").shape == theirs.shape


def test_an_image_of_the_right_size_is_not_copied() -> None:
    image = draw(3, 8, 9)
    assert resize(image, (8, 9)) is image


@settings(max_examples=100)
@given(before=st.tuples(SIDES, SIDES), after=st.tuples(SIDES, SIDES))
def test_the_center_is_torchvisions_also_of_smaller_images(before: tuple[int, int], after: tuple[int, int]) -> None:
    image = draw(3, *before)
    assert torch.equal(crop_center(image, after), functional.center_crop(image, [*after]))


@settings(max_examples=50)
@given(height=st.integers(0, 9), width=st.integers(0, 9))
def test_padding_has_the_given_color_on_all_sides(height: int, width: int) -> None:
    image = draw(3, 7, 6)
    sides = [width // 2, height // 2, width - width // 2, height - height // 2]
    assert torch.equal(pad(image, (height, width), (9, 8, 7)), functional.pad(image, sides, fill=[9, 8, 7]))
