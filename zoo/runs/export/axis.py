"""Resizing along one axis as a matrix of weights, made of operations that every runtime has.

The training data is resized by torch's kernel for uint8. It resizes horizontally, rounds to uint8, and then resizes
vertically. Its weights are integers: real weights times a power of two, rounded. The functions here compute the same
integers. ONNX's own ``Resize`` leaves rounding to the runtime, and TensorRT ignores or refuses ``antialias``. Source:
torch's ``UpSampleKernel.cpp``.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

#: Largest power of two by which torch multiplies a weight, and the limit of the product.
_MAX_PRECISION, _MAX_WEIGHT = 22, 1 << 15
#: Parameter of the bicubic kernel, as in Pillow.
_CUBIC = -0.5


@dataclass(frozen=True)
class Axis:
    """The steps along one axis, from an image's side to the model's. Everything but ``output`` is an int64 scalar."""

    #: Number of pixels that are removed at the start, and that are kept.
    skipped: Tensor
    kept: Tensor
    #: Number of pixels after resizing.
    resized: Tensor
    #: Number of pixels of the model's input.
    output: int


def center(outer: Tensor, inner: Tensor | int) -> Tensor:
    """Return where the center of ``inner`` pixels starts within ``outer`` pixels, negative if pixels are missing.

    As in torchvision, half a pixel is rounded to an even number if pixels are cut off, and up if they are missing.
    """
    excess = outer - inner
    half = excess.abs() // 2
    even = half + excess.abs() % 2 * (half % 2)
    return torch.where(excess >= 0, even, -half)


def weigh(axis: Axis, side: int, interpolation: str) -> tuple[Tensor, Tensor]:
    """Return the weights of an axis.

    Args:
        axis: The axis.
        side: Number of pixels of the image along the axis.
        interpolation: ``nearest``, ``bilinear`` or ``bicubic``; both of the latter are antialiased.

    Returns:
        Weights of shape (output, side), and a mask of shape (output,), which is False for the pixels that are padded.
    """
    index = torch.arange(axis.output) + center(axis.resized, axis.output)
    is_inside = (index >= 0) & (index < axis.resized)
    # The first row is only there because it has the largest weight of all rows, also of those that are cut off.
    rows = torch.cat([torch.zeros(1, dtype=torch.int64), index.clamp(min=0).minimum(axis.resized - 1)])[:, None]
    columns = torch.arange(side)[None] - axis.skipped
    if interpolation == "nearest":
        # In float32, as in torch, because rounding decides between two pixels that are equally near.
        chosen = ((rows.float() + 0.5) * (axis.kept.float() / axis.resized.float())).floor()
        return (chosen == columns).float()[1:], is_inside
    # Distances in integers, because those of large images have too many digits for float32.
    distance = (2 * columns + 1) * axis.resized - (2 * rows + 1) * axis.kept
    scaled = distance.float() / (2 * axis.kept.maximum(axis.resized)).float()
    weights = _filter(scaled.abs(), interpolation) * ((columns >= 0) & (columns < axis.kept)).float()
    return _quantize(weights / weights.sum(1, keepdim=True))[1:], is_inside


def _filter(distance: Tensor, interpolation: str) -> Tensor:
    """Return the weights of pixels at these distances; 1 is the distance between two pixels."""
    if interpolation == "bilinear":
        return (1 - distance).clamp(min=0)
    near = ((_CUBIC + 2) * distance - (_CUBIC + 3)) * distance * distance + 1
    far = (((distance - 5) * distance + 8) * distance - 4) * _CUBIC
    return torch.where(distance < 1, near, torch.where(distance < 2, far, torch.zeros_like(far)))


def _quantize(weights: Tensor) -> Tensor:
    """Round the weights to multiples of the smallest power of two that torch uses for them."""
    powers = 2.0 ** torch.arange(1, _MAX_PRECISION + 1)
    fits = (weights.max() * powers + 0.5).floor() < _MAX_WEIGHT
    factor = torch.where(fits, powers, torch.ones_like(powers)).max()
    return (weights.abs() * factor + 0.5).floor() * weights.sign() / factor
