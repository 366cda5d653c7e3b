"""The channels of decoded images: grayscale for one channel, and how images without three channels are shown."""

from __future__ import annotations

import torch
from torch import Tensor

#: Numbers of channels of images that are decoded as RGB.
GRAY, RGB = 1, 3
#: Weights of red, green and blue in brightness (ITU-R BT.601), and their sum, as in Pillow's mode L.
GRAY_WEIGHTS, GRAY_SUM = (19595, 38470, 7471), 1 << 16

#: Number of rows that are converted at once.
_ROWS = 64


def count_decoded(channels: int) -> int:
    """Return how many channels decoded images have if the input has this many."""
    return RGB if channels == GRAY else channels


def fit_channels(pixels: Tensor, channels: int) -> Tensor:
    """Return decoded pixels, uint8 of shape (C, H, W), with the channels of an input.

    For one channel, RGB becomes grayscale; all other images were decoded with the channels of the input.
    """
    return to_gray(pixels) if channels == GRAY and len(pixels) == RGB else pixels


def to_gray(pixels: Tensor) -> Tensor:
    """Convert RGB, uint8 of shape (3, H, W), to grayscale, uint8 of shape (1, H, W), exactly like Pillow's mode L."""
    # A few rows at a time need little memory.
    return torch.cat([_mix(rows) for rows in torch.split(pixels, _ROWS, 1)], 1)


def _mix(rows: Tensor) -> Tensor:
    # All of these numbers are integers below 2**24, which float32 represents exactly, and floats are faster.
    red, green, blue = GRAY_WEIGHTS
    total = rows[:1].float().mul_(red).add_(rows[1:2], alpha=green).add_(rows[2:], alpha=blue)
    return total.add_(GRAY_SUM // 2).div_(GRAY_SUM).to(torch.uint8)


def to_visible(pixels: Tensor) -> Tensor:
    """Return pixels, uint8 of shape (C, H, W), as RGB for people: the first three channels, or gray if there are fewer.

    The gray of two channels is their mean.
    """
    if len(pixels) >= RGB:
        return pixels[:RGB]
    return pixels.float().mean(0, keepdim=True).to(torch.uint8).expand(RGB, -1, -1)
