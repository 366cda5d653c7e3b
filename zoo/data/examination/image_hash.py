"""A perceptual hash of 63 bits: images that were re-encoded or resized have nearly the same hash.

The hash consists of the signs of low frequencies, as in Zauner 2010, "Implementation and benchmarking of perceptual
image hash functions". In 396 photos of insects, a different size, format or quality changed at most six bits in a
sample of 99, a crop of 5% five or six, and two unrelated photos differed in at least 14.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from zoo.data.channels import RGB

#: Height and width to which an image is shrunk, in pixels.
SIDE = 32
#: Only every second, third, ... row and column of a large image is used, so that this many pixels remain in the shorter
#: direction. A photo of 6 million pixels then takes a fiftieth of the time to shrink.
_MIN_SIDE = 96
#: Number of frequencies in each direction.
_FREQUENCIES = 8
#: Smallest difference between the darkest and the brightest pixel of a shrunk image whose hash means anything.
MIN_CONTRAST = 8
#: Rows of the discrete cosine transform (DCT-II), of shape (frequencies, side).
_COSINES = np.cos(math.pi / SIDE * (np.arange(SIDE) + 0.5) * np.arange(_FREQUENCIES)[:, None])


def shrink(pixels: Tensor) -> NDArray[np.uint8]:
    """Shrink an image, uint8 of shape (C, H, W), to its brightness, uint8 of shape (32, 32).

    The brightness of images that are not RGB is the mean of their channels.
    """
    step = max(min(pixels.shape[1:]) // _MIN_SIDE, 1)
    sampled = pixels.permute(1, 2, 0).numpy()[::step, ::step]
    if len(pixels) != RGB:
        sampled = sampled.mean(2).round().astype(np.uint8)
    # For arrays this small, the overhead of each call matters: torch and Image.fromarray take longer.
    image = Image.frombytes("RGB" if len(pixels) == RGB else "L", sampled.shape[1::-1], sampled.tobytes())
    return np.asarray(image.convert("L").resize((SIDE, SIDE), Image.Resampling.BILINEAR))


def hash_image(shrunk: NDArray[np.uint8]) -> int:
    """Return the hash of an image from `shrink`; 0 if it has nearly no contrast.

    The hash of any other image is above 0.
    """
    if int(shrunk.max()) - int(shrunk.min()) < MIN_CONTRAST:
        return 0
    brightness = shrunk.astype(np.float64)  # Multiplying integers would not use BLAS.
    frequencies = (_COSINES @ brightness @ _COSINES.T).ravel()[1:]  # The first one is the mean brightness.
    bits = frequencies > np.sort(frequencies)[len(frequencies) // 2]  # np.median takes several times as long.
    return int.from_bytes(np.packbits(bits).tobytes()) >> 1
