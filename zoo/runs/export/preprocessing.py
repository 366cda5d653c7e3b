"""The preprocessing of a run as a module that can be exported. All exports use it."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from zoo.data.channels import GRAY, GRAY_SUM, GRAY_WEIGHTS
from zoo.data.transform import MAX_ASPECT
from zoo.plugin import InputSpec
from zoo.runs.export.axis import Axis, center, weigh


class Preprocessing(nn.Module):
    """Convert uint8 images of shape (N, H, W, 3), in RGB, to the model's input, float32 of shape (N, C, H', W').

    If the input has one channel, the images are converted to grayscale. If it has neither one nor three, the images
    have as many channels as the input.

    The result is that of `zoo.data.transform.build_eval_transform`. The module has no branches that depend on the size
    of an image, so that one exported graph suits all sizes.
    """

    def __init__(self, spec: InputSpec) -> None:
        super().__init__()
        self._spec = spec
        mean, std = (torch.tensor(values)[:, None, None] for values in (spec.mean, spec.std))
        fill = [round(255 * value) if spec.crop == "border" else 0 for value in spec.mean]
        self.register_buffer("scale", 1 / (255 * std))
        self.register_buffer("shift", -mean / std)
        self.register_buffer("fill", torch.tensor(fill, dtype=torch.float32)[:, None, None])

    def forward(self, images: Tensor) -> Tensor:
        """Resize, crop and normalize the images."""
        height, width = images.shape[1:3]
        down, across = _plan_axes(self._spec, height, width)
        rows, is_row = weigh(down, height, self._spec.interpolation)
        columns, is_column = weigh(across, width, self._spec.interpolation)
        pixels = images.permute(0, 3, 1, 2).float()
        pixels = _to_gray(pixels) if self._spec.size[0] == GRAY else pixels
        pixels = _round(pixels @ columns.T)
        pixels = _round(rows @ pixels)
        pixels = torch.where(is_row[:, None] & is_column, pixels, self.get_buffer("fill"))
        return pixels * self.get_buffer("scale") + self.get_buffer("shift")


def _to_gray(pixels: Tensor) -> Tensor:
    """Convert RGB to grayscale, as in `zoo.data.channels`: the numbers are integers that float32 represents exactly."""
    red, green, blue = GRAY_WEIGHTS
    total = pixels[:, :1] * red + pixels[:, 1:2] * green + pixels[:, 2:] * blue
    return ((total + GRAY_SUM // 2) / GRAY_SUM).floor()


def _round(pixels: Tensor) -> Tensor:
    return (pixels + 0.5).floor().clamp(0, 255)


def _plan_axes(spec: InputSpec, height: int, width: int) -> tuple[Axis, Axis]:
    # Sizes are tensors from here on. As numbers, they would be constants of the exported graph.
    sides = torch.scalar_tensor(height, dtype=torch.int64), torch.scalar_tensor(width, dtype=torch.int64)
    shorter = sides[0].minimum(sides[1])
    kept = sides if spec.crop == "squash" else tuple(side.minimum(MAX_ASPECT * shorter) for side in sides)
    resized = _resize(spec, *kept)
    down, across = (
        Axis(center(side, keep), keep, new, size)
        for side, keep, new, size in zip(sides, kept, resized, spec.size[1:], strict=True)
    )
    return down, across


def _resize(spec: InputSpec, height: Tensor, width: Tensor) -> tuple[Tensor, Tensor]:
    """Return both sides after resizing."""
    if spec.crop == "squash":
        wanted_height, wanted_width = spec.squashed
        return torch.full_like(height, wanted_height), torch.full_like(width, wanted_width)
    if spec.crop == "center":
        shorter = height.minimum(width)
        return spec.resize * height // shorter, spec.resize * width // shorter
    factor = spec.resize / height.maximum(width).double()
    new_height, new_width = ((factor * side.double()).round().long().clamp(min=1) for side in (height, width))
    return new_height, new_width
