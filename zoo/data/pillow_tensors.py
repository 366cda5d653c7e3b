"""Convert between Pillow images and tensors."""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image
from torch import Tensor


def from_pillow(image: Image.Image) -> Tensor:
    """Copy the pixels of an image of 8 bits per value to uint8 of shape (C, H, W)."""
    array = np.array(image)
    return torch.from_numpy(array.reshape(image.height, image.width, -1)).permute(2, 0, 1)


def to_pillow(pixels: Tensor) -> Image.Image:
    """Return an RGB image with the pixels of a tensor, uint8 of shape (3, H, W)."""
    return Image.fromarray(pixels.permute(1, 2, 0).cpu().numpy())
