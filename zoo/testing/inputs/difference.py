"""The difference between zoo's and upstream's tensors of the same photos."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from zoo.plugin import InputSpec

#: Largest differences of the same preprocessing, implemented differently: of a photo's pixels on average, of a
#: channel's mean, both in steps of 8-bit pixels, and of a channel's standard deviation, relative. Decision 0051 has the
#: measurements.
MAX_PIXELS, MAX_MEAN, MAX_STD = 0.8, 0.1, 0.01


@dataclass(frozen=True)
class Difference:
    """How upstream's tensors differ from zoo's."""

    #: Mean absolute difference of the pixels in steps of 8-bit pixels, for the photo where it is largest. It excludes
    #: what ``mean`` and ``std`` explain.
    pixels: float
    #: Mean and standard deviation of each channel with which upstream seems to normalize zoo's pixels.
    mean: tuple[float, ...]
    std: tuple[float, ...]

    @property
    def has_same_pixels(self) -> bool:
        """Whether both resize and crop in the same way. It is False if the difference is not finite."""
        return self.pixels <= MAX_PIXELS

    def has_same_normalization(self, expected: InputSpec) -> bool:
        """Return whether upstream normalizes like an input. The result means nothing if the pixels differ."""
        means = max(abs(one - other) for one, other in zip(self.mean, expected.mean, strict=True))
        stds = max(abs(one / other - 1) for one, other in zip(self.std, expected.std, strict=True))
        return 255 * means <= MAX_MEAN and stds <= MAX_STD


def measure_difference(ours: Sequence[Tensor], theirs: Sequence[Tensor], expected: InputSpec) -> Difference:
    """Measure the difference, separately for the pixels and for their normalization.

    Args:
        ours: zoo's tensor of each photo, of shape (C, H, W).
        theirs: Upstream's tensors, of the same shapes.
        expected: The input with which zoo prepared the photos.
    """
    mean, std = (torch.tensor(values)[:, None, None] for values in (expected.mean, expected.std))
    pixels = [one * std + mean for one in ours]
    slope, offset = _fit_lines(pixels, theirs)  # theirs = (pixels - mean) / std = slope * pixels + offset
    largest = max(
        ((other - offset) / slope - one).abs().mean().item() for one, other in zip(pixels, theirs, strict=True)
    )
    return Difference(255 * largest, _to_tuple(-offset / slope), _to_tuple(1 / slope))


def _fit_lines(pixels: Sequence[Tensor], theirs: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Fit a line for each channel by least squares; return its slope and offset, of shape (C, 1, 1)."""
    x = torch.cat([one.flatten(1) for one in pixels], 1)
    y = torch.cat([one.float().flatten(1) for one in theirs], 1)
    x_mean, y_mean = x.mean(1, keepdim=True), y.mean(1, keepdim=True)
    x, y = x - x_mean, y - y_mean
    slope = (x * y).sum(1, keepdim=True) / x.square().sum(1, keepdim=True)
    return slope[..., None], (y_mean - slope * x_mean)[..., None]


def _to_tuple(values: Tensor) -> tuple[float, ...]:
    return tuple(values.flatten().tolist())
