"""What decoding an image reveals about it."""

from __future__ import annotations

import struct
from typing import NamedTuple

from zoo.data.decode import Decoded
from zoo.data.examination.image_hash import hash_image, shrink
from zoo.data.marks import Mark

#: Formats by the number that stands for them in packed traits, which has one hex digit.
_FORMATS = ("", "JPEG", "MPO", "PNG", "WEBP", "BMP", "TIFF", "GIF", "AVIF", "HEIF", "NPY")
_PACKED = struct.Struct("<BBHIIBBQ")
PACKED_SIZE = _PACKED.size


class Traits(NamedTuple):
    """What decoding an image revealed about it."""

    #: Pillow's name of the file format, such as ``JPEG``.
    format: str = "JPEG"
    marks: Mark = Mark(0)
    #: Largest value of an image with 16 bits per value, whose values may use fewer bits; otherwise 0.
    peak: int = 0
    #: In pixels, after the image was rotated according to its EXIF orientation.
    width: int = 0
    height: int = 0
    #: Brightness of the darkest and the brightest part of the image, from 0 to 255. A part is 1/1024 of its area.
    darkest: int = 0
    brightest: int = 255
    #: Perceptual hash; see `zoo.data.examination.image_hash`.
    hash: int = 0

    def pack(self) -> bytes:
        """Return the traits as `PACKED_SIZE` bytes."""
        return _PACKED.pack(_FORMATS.index(self.format), int(self.marks), *self[2:])

    @classmethod
    def unpack(cls, packed: bytes) -> Traits:
        """Return the traits that were packed."""
        file_format, marks, *numbers = _PACKED.unpack(packed)
        return cls(_FORMATS[file_format], Mark(marks), *numbers)


def measure_traits(image: Decoded) -> Traits:
    """Measure the traits of a decoded image."""
    shrunk = shrink(image.pixels)
    height, width = image.pixels.shape[1:]
    darkest, brightest = int(shrunk.min()), int(shrunk.max())
    return Traits(image.format, image.marks, image.peak, width, height, darkest, brightest, hash_image(shrunk))
