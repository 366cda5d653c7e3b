"""Drawn photos: the files on which zoo's preprocessing is compared with upstream's own."""

from __future__ import annotations

import io
from dataclasses import dataclass
from functools import lru_cache
from itertools import count
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from zoo.plugin import InputSpec

#: Name, format, shorter side as a multiple of the side after resizing, and aspect ratio (width / height) of each photo.
#: The small one is smaller than the crop.
_PHOTOS = (
    ("landscape", "JPEG", 1.37, 1.41),
    ("portrait", "PNG", 1.83, 0.77),
    ("square", "JPEG", 1.13, 1.0),
    ("small", "PNG", 0.61, 1.19),
)
#: Smallest size in pixels to which the multiples apply. Tiny photos have no detail.
_SMALLEST = 64
#: Largest fraction of a pixel that is lost when the sides after resizing are truncated; rounding then does the same.
_MAX_FRACTION = 0.45
_SEED = 2026


@dataclass(frozen=True)
class Photo:
    """A drawn photo."""

    #: Shape of the photo, such as ``landscape``.
    name: str
    #: Height and width in pixels.
    size: tuple[int, int]
    #: Content of the JPEG or PNG file.
    content: bytes

    def open(self) -> Image.Image:
        """Open the file as users of upstream do, as an RGB image."""
        return Image.open(io.BytesIO(self.content)).convert("RGB")


def list_photos(expected: InputSpec) -> tuple[Photo, ...]:
    """Return photos with smooth gradients, edges and text-like detail, whose sides suit an input.

    Libraries truncate or round the longer side after resizing, and half a pixel before the crop. The sides are such
    that both do the same, except for the shorter side of inputs like ``size=(3, 299, 299), resize=342``.
    """
    return _draw_photos(expected.resize, expected.crop, max(expected.size[1:]))


@lru_cache(maxsize=4)  # Successive backbones often have the same input. Large photos take a few megabytes.
def _draw_photos(resize: int, crop: str, size: int) -> tuple[Photo, ...]:
    photos = []
    for name, kind, scale, aspect in _PHOTOS:
        sides = _choose_sides(resize, crop, size, (scale, aspect))
        photos.append(Photo(name, sides, _encode(_draw(*sides), kind)))
    return tuple(photos)


def _choose_sides(resize: int, crop: str, size: int, shape: tuple[float, float]) -> tuple[int, int]:
    """Return height and width of a photo, given the scale of its shorter side and its aspect ratio."""
    scale, aspect = shape
    shorter = round(scale * max(resize, _SMALLEST)) | 1
    for longer in count(round(shorter * max(aspect, 1 / aspect))):
        resized = resize * shorter / longer if crop == "border" else resize * longer / shorter
        is_even = (int(resized) - size) % 2 == 0
        if aspect == 1 or crop == "squash" or (is_even and resized % 1 <= _MAX_FRACTION):
            return (shorter, longer) if aspect >= 1 else (longer, shorter)
    raise AssertionError("the loop ends, because the fraction changes with each side")


def _draw(height: int, width: int) -> NDArray[np.uint8]:
    """Draw an image of shape (height, width, 3) whose channels differ."""
    random = np.random.default_rng(_SEED)
    down, across = np.mgrid[:height, :width]
    down, across = down / height, across / width
    gradient = np.stack([0.2 + 0.6 * across, 0.7 - 0.5 * down, 0.3 + 0.4 * down * across], axis=2)
    disc = (down - 0.45) ** 2 + (across - 0.4) ** 2 < 0.06
    gradient[disc] = gradient[disc][:, ::-1] * 0.6 + 0.3
    gradient[(across > 0.55) & (down > across - 0.3)] *= 0.55
    letters = _draw_letters(height, width, random)
    ink = np.array([0.9, 0.75, 0.1])
    drawn = np.where(letters[..., None], ink * (1 - gradient), gradient)
    noisy = drawn + random.normal(0, 0.02, drawn.shape)
    pixels: NDArray[np.uint8] = (255 * noisy).round().clip(0, 255).astype(np.uint8)
    return pixels


def _draw_letters(height: int, width: int, random: np.random.Generator) -> NDArray[np.bool_]:
    """Draw lines of random dots that are a few pixels large, like text. Return whether each pixel is ink."""
    dot = max(min(height, width) // 90, 1)
    rows, columns = -(-height // dot), -(-width // dot)
    dots = random.random((rows, columns)) < 0.45
    dots[np.arange(rows) % 8 < 3] = False  # the space between the lines
    letters: NDArray[np.bool_] = dots.repeat(dot, axis=0).repeat(dot, axis=1)[:height, :width]
    return letters


def _encode(pixels: NDArray[np.uint8], kind: str) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind, **({"quality": 95} if kind == "JPEG" else {}))
    return buffer.getvalue()
