"""Resize, crop and pad images. The pixels are those of ``torchvision.transforms.v2.functional``.

Importing torchvision takes nearly as long as importing torch, and most commands need nothing else of it.
"""

from __future__ import annotations

import platform
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

#: torch's modes for the interpolations of an InputSpec.
_MODES = {
    "nearest": "nearest-exact",  # This is Pillow's nearest, which published weights were trained with.
    "bilinear": "bilinear",
    "bicubic": "bicubic",
}


def resize_shorter(image: Tensor, side: int, interpolation: str = "bilinear") -> Tensor:
    """Resize an image so that its shorter side has the given length. The longer side is truncated."""
    height, width = image.shape[-2:]
    shorter = min(height, width)
    return resize(image, (side * height // shorter, side * width // shorter), interpolation)


def resize(image: Tensor, size: Sequence[int], interpolation: str = "bilinear") -> Tensor:
    """Resize an image with antialiasing.

    Args:
        image: uint8 of shape (C, H, W), on the CPU.
        size: Height and width of the result.
        interpolation: ``nearest``, ``bilinear`` or ``bicubic``.

    Returns:
        uint8 of shape (C, height, width), or the same tensor if it has this size.
    """
    if (*image.shape[-2:],) == (*size,):
        return image
    batch = image[None]
    if image.stride(0) == 1 < len(image) <= image.stride(2):
        # The channels of a pixel are next to each other. With this stride of the batch, torch sees that, and keeps them
        # so. Otherwise, resizing a decoded photo takes 1.2 to 1.5 times as long.
        batch = image.as_strided(batch.shape, (image.shape[1] * image.stride(1), *image.stride()))
    is_converted = interpolation == "bilinear" and not _has_fast_bilinear()
    resized = functional.interpolate(
        batch.float() if is_converted else batch,
        size=[*size],
        mode=_MODES[interpolation],
        align_corners=None if interpolation == "nearest" else False,
        antialias=interpolation != "nearest",
    )
    return (resized.round_().to(torch.uint8) if is_converted else resized)[0]


def _has_fast_bilinear() -> bool:
    """Return whether torch resizes integers with vector instructions; otherwise floats are faster."""
    return torch.backends.cpu.get_cpu_capability() in ("AVX2", "AVX512") or platform.machine() in ("aarch64", "arm64")


def crop_center(image: Tensor, size: Sequence[int]) -> Tensor:
    """Return the center of an image of shape (C, H, W). A smaller image is padded with black."""
    missing = [max(wanted - side, 0) for wanted, side in zip(size, image.shape[-2:], strict=True)]
    image = pad(image, missing, [0] * len(image))
    top, left = (round((side - wanted) / 2) for wanted, side in zip(size, image.shape[-2:], strict=True))
    return image[:, top : top + size[0], left : left + size[1]]


def pad(image: Tensor, missing: Sequence[int], color: Sequence[int]) -> Tensor:
    """Pad an image of shape (C, H, W) on all sides, with a value for each channel.

    Args:
        image: The image.
        missing: Number of rows and columns to add. Of an odd number, one more is added at the bottom or on the right.
        color: The values of the added pixels.
    """
    if not any(missing):
        return image
    height, width = image.shape[-2:]
    top, left = (count // 2 for count in missing)
    values = torch.tensor(color, dtype=image.dtype)[:, None, None]
    padded = values.repeat(1, height + missing[0], width + missing[1])
    padded[:, top : top + height, left : left + width] = image
    return padded
