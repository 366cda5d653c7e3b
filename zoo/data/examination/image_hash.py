"""A perceptual hash of 63 bits: images that were re-encoded or resized have nearly the same hash.

The hash consists of the signs of low frequencies, as in Zauner 2010, "Implementation and benchmarking of perceptual
image hash functions". In 396 photos of insects, a different size, format or quality changed at most two bits in a
sample of 99, a crop of 5% about eight, and two unrelated photos differed in at least 14.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torchvision.transforms.v2 import functional  # type: ignore[import-untyped]  # torchvision has no types

from zoo.data.channels import RGB

#: Height and width to which an image is shrunk, in pixels.
SIDE = 32
#: Only every second, third, ... row and column of a large image is used, so that this many pixels remain in the shorter
#: direction. Shrinking a photo of 6 million pixels then takes a fiftieth of the time, and as many copies are found.
_MIN_SIDE = 160
#: Number of frequencies in each direction.
_FREQUENCIES = 8
#: Smallest difference between the darkest and the brightest pixel of a shrunk image whose hash means anything.
MIN_CONTRAST = 8
#: Weights of red, green and blue in brightness (ITU-R BT.601).
_BRIGHTNESS = torch.tensor([0.299, 0.587, 0.114])[:, None, None]
#: Rows of the discrete cosine transform (DCT-II), of shape (frequencies, side).
_COSINES = torch.cos(math.pi / SIDE * (torch.arange(SIDE) + 0.5) * torch.arange(_FREQUENCIES)[:, None])


def shrink(pixels: Tensor) -> Tensor:
    """Shrink an image, uint8 of shape (C, H, W), to its brightness, float32 of shape (32, 32) from 0 to 255.

    The brightness of images that are not RGB is the mean of their channels.
    """
    step = max(min(pixels.shape[1:]) // _MIN_SIDE, 1)
    small: Tensor = functional.resize(pixels[:, ::step, ::step], [SIDE, SIDE], antialias=True)
    return (small * _BRIGHTNESS).sum(0) if len(pixels) == RGB else small.float().mean(0)


def hash_image(shrunk: Tensor) -> int:
    """Return the hash of an image from `shrink`; 0 if it has nearly no contrast.

    The hash of any other image is above 0.
    """
    if shrunk.max() - shrunk.min() < MIN_CONTRAST:
        return 0
    frequencies = (_COSINES @ shrunk @ _COSINES.T).flatten()[1:]  # The first one is the mean brightness.
    bits = (frequencies > frequencies.median()).tolist()
    return int("".join("01"[bit] for bit in bits), 2)
