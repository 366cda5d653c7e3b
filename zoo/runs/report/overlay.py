"""Pictures of what a model looks at, as JPEGs within a page."""

from __future__ import annotations

import base64
import io

import torch
from torch import Tensor

from zoo.data.channels import to_visible
from zoo.data.geometry import resize
from zoo.data.pillow_tensors import to_pillow

_QUALITY = 85
#: Color of the places that contribute most, RGB.
_HIGHLIGHT = torch.tensor([255.0, 60.0, 0.0])[:, None, None]


def highlight(image: Tensor, saliency: Tensor) -> Tensor:
    """Darken an image, and color the places with high values.

    Args:
        image: The image, uint8 of shape (C, height, width).
        saliency: Values from 0 to 1, of shape (height, width).

    Returns:
        The picture, uint8 of shape (3, height, width).
    """
    gray = image.float().mean(0, keepdim=True) * 0.6
    strength = saliency.nan_to_num().clamp(0, 1)[None] * 0.7
    return ((1 - strength) * gray + strength * _HIGHLIGHT).round().to(torch.uint8)


def encode_jpeg(image: Tensor, width: int) -> str:
    """Return an image, uint8 of shape (C, height, width), as JPEG in base64, scaled down to the given width."""
    if image.shape[2] > width:
        height = max(round(image.shape[1] * width / image.shape[2]), 1)
        image = resize(image, (height, width))
    file = io.BytesIO()
    to_pillow(to_visible(image)).save(file, "JPEG", quality=_QUALITY)
    return base64.b64encode(file.getvalue()).decode("ascii")
