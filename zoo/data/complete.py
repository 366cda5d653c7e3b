"""Detect PNGs and TIFFs with missing rows. Pillow leaves such rows black, and raises no error."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator

import numpy as np
from PIL import Image

from zoo.errors import DataError

_SIGNATURE = 8
#: Values per pixel by the color type of a PNG.
_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
#: The first column and row of each pass of an interlaced PNG, and the distances to the next column and row.
_PASSES = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
#: Number of compressed bytes to decompress at a time, and the most that they may become.
_INPUT, _OUTPUT = 2**16, 2**20


def check_rows(image: Image.Image) -> None:
    """Check that the strips or tiles of a TIFF cover the image. It must be opened but not loaded.

    Raises:
        DataError: If the last rows are missing. The message is a clause without a period.
    """
    tiles = getattr(image, "tile", ())
    if image.format == "TIFF" and tiles and max(tile.extents[3] for tile in tiles) < image.height:
        raise DataError("damaged or truncated (the last rows are missing)")


def check_png(image: Image.Image, data: bytes) -> None:
    """Check that a PNG has an end and all rows. It must be loaded, because only a few images are decompressed again.

    Raises:
        DataError: If something is missing. The message is a clause without a period.
    """
    chunks = list(_list_chunks(data))
    if not chunks or chunks[-1][0] != b"IEND":
        raise DataError("damaged or truncated (the end of the PNG is missing)")
    expected, is_interlaced = _read_size(data)
    if is_interlaced or _ends_with_zeros(image):  # Otherwise, the last row was decoded.
        bodies = (data[start:end] for name, start, end in chunks if name == b"IDAT")
        if _count_bytes(bodies, expected) < expected:
            raise DataError("damaged or truncated (the last rows are missing)")


def _list_chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """List the name, the start and the end of each complete chunk, up to the end of the image."""
    start, name = _SIGNATURE + 8, b""
    while name != b"IEND" and start <= len(data):
        end = start + int.from_bytes(data[start - 8 : start - 4])
        name = data[start - 4 : start]
        if end > len(data):
            return
        yield name, start, end
        start = end + 12  # A chunk has a checksum, and the next one begins with its length and name.


def _read_size(data: bytes) -> tuple[int, bool]:
    """Return the number of bytes of all rows of a PNG, and whether it is interlaced."""
    width, height = (int.from_bytes(data[place : place + 4]) for place in (16, 20))
    bits, is_interlaced = data[24] * _CHANNELS[data[25]], data[28] == 1
    passes = _PASSES if is_interlaced else ((0, 0, 1, 1),)
    sides = ((-((x - width) // across), -((y - height) // down)) for x, y, across, down in passes)
    return sum(rows * (1 + (columns * bits + 7) // 8) for columns, rows in sides if columns > 0), is_interlaced


def _ends_with_zeros(image: Image.Image) -> bool:
    last = image.crop((0, image.height - 1, image.width, image.height))
    return not np.asarray(last).any()


def _count_bytes(bodies: Iterable[bytes], enough: int) -> int:
    """Return the number of bytes after decompression. The count may end when there are enough."""
    stream, count = zlib.decompressobj(), 0
    for body in bodies:
        for start in range(0, len(body), _INPUT):
            rest = body[start : start + _INPUT]
            while rest and count < enough:
                count += len(stream.decompress(rest, _OUTPUT))
                rest = stream.unconsumed_tail
    return count
