from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from zoo.data.transform import build_eval_transform
from zoo.plugin import InputSpec
from zoo.plugin.input_spec import CROPS, INTERPOLATIONS
from zoo.runs.export.preprocessing import Preprocessing

SPEC = InputSpec(size=(3, 48, 40), resize=52, mean=(0.5, 0.4, 0.3), std=(0.25, 0.2, 0.3))
SIZES = [(75, 100), (101, 67), (52, 52), (48, 40), (20, 300), (3, 200), (1, 1), (401, 333), (17, 90), (52, 60)]


def draw(height: int, width: int) -> Tensor:
    generator = torch.Generator().manual_seed(height * 1000 + width)
    return torch.randint(0, 256, (3, height, width), generator=generator, dtype=torch.uint8)


def compare(spec: InputSpec, pixels: Tensor) -> Tensor:
    """Return the differences between the module and the transform of a run, in values from 0 to 255."""
    expected = build_eval_transform(spec)(pixels)
    (found,) = Preprocessing(spec)(pixels.permute(1, 2, 0)[None])
    return (found - expected).abs() * 255 * torch.tensor(spec.std)[:, None, None]


@pytest.mark.parametrize("interpolation", INTERPOLATIONS)
@pytest.mark.parametrize("crop", CROPS)
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_the_module_gives_the_pixels_of_a_run(size: tuple[int, int], crop: str, interpolation: str) -> None:
    spec = replace(SPEC, crop=crop, interpolation=interpolation)
    difference = compare(spec, draw(*size))
    # Values that are halfway between two integers may be rounded differently.
    assert difference.max() < (1e-3 if interpolation == "nearest" else 2.01)
    assert (difference > 0.01).float().mean() < 0.01


@pytest.mark.parametrize("resize", [30, 40, 48, 64])
@pytest.mark.parametrize("crop", CROPS)
def test_images_that_are_smaller_than_the_input_are_padded_as_in_a_run(crop: str, resize: int) -> None:
    difference = compare(replace(SPEC, crop=crop, resize=resize), draw(90, 71))
    assert difference.max() < 1.01
    assert (difference > 0.01).float().mean() < 0.01


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 160), st.integers(1, 160), st.sampled_from(CROPS))
def test_the_module_gives_the_pixels_of_a_run_for_any_size(height: int, width: int, crop: str) -> None:
    difference = compare(replace(SPEC, crop=crop), draw(height, width))
    assert difference.max() < 1.01
    assert (difference > 0.01).float().mean() < 0.01


def test_a_batch_gives_the_same_as_its_images() -> None:
    module, images = Preprocessing(SPEC), torch.stack([draw(60, 77), draw(60, 77).flip(1)]).permute(0, 2, 3, 1)
    alone = torch.cat([module(image[None]) for image in images])
    assert torch.allclose(module(images), alone, atol=1e-4)
