"""Conversions between Pillow images and tensors return the same pixels as torchvision's."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms.v2.functional import pil_to_tensor, to_pil_image

from zoo.data.pillow_tensors import from_pillow, to_pillow

Draw = Callable[..., Image.Image]


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA"])
def test_an_image_becomes_torchvisions_tensor(draw: Draw, mode: str) -> None:
    image = draw(1, (20, 13)).convert(mode)
    assert torch.equal(from_pillow(image), pil_to_tensor(image))


def test_the_tensor_has_its_own_memory(draw: Draw) -> None:
    image = draw(1, (20, 13))
    from_pillow(image).zero_()
    assert np.asarray(image).any()


def test_a_tensor_becomes_torchvisions_image(draw: Draw) -> None:
    pixels = from_pillow(draw(1, (20, 13)))
    assert to_pillow(pixels) == to_pil_image(pixels)
