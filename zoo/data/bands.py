"""Decode images with other numbers of channels than one and three: NumPy arrays in .npy files, and RGB with alpha.

Nothing here converts colors: a channel keeps its values, whatever it means.
"""

from __future__ import annotations

import ast
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from zoo.data.channels import GRAY, RGB
from zoo.errors import DataError
from zoo.files.limits import DECODING_BYTES, MAX_CHANNELS, PIXELS

#: First bytes of a .npy file.
_MAGIC = b"\x93NUMPY"
_RGBA = 4
#: Bytes per value in memory while an array is decoded, besides the file: the upper 8 bits, and copies.
_BYTES = 6
#: Maximum size of the header in bytes, as in NumPy.
_MAX_HEADER = 10_000
#: No array has this many values along one side. A header can name numbers that are too long to print.
_MAX_SIDE = 2**48


@dataclass(frozen=True)
class ArrayHeader:
    """The header of a .npy file."""

    height: int
    width: int
    channels: int
    #: uint8 or uint16, in either byte order.
    dtype: np.dtype[Any]
    is_fortran: bool
    #: Index of the first byte of the values.
    start: int

    @property
    def memory(self) -> int:
        """Maximum number of bytes that decoding takes."""
        return self.height * self.width * self.channels * (_BYTES + self.dtype.itemsize)


def is_array(data: bytes) -> bool:
    """Return whether the content of a file is that of a .npy file."""
    return data.startswith(_MAGIC)


def read_array_header(data: bytes, channels: int) -> ArrayHeader:
    """Read the header of a .npy file, and check it before memory is allocated.

    Args:
        data: Content of the file.
        channels: Number of channels of the input.

    Raises:
        DataError: If it is not an image, exceeds a limit, or has other channels. The message is a clause.
    """
    shape, dtype, is_fortran, start = _parse_header(data)
    if len(shape) == 2:
        shape = (*shape, GRAY)
    if len(shape) != 3 or dtype.newbyteorder("=") not in (np.uint8, np.uint16):
        raise DataError(
            f"an array of type {dtype} and shape {shape}; images have the shape (height, width, channels) and the type "
            "uint8 or uint16"
        )
    height, width, found = shape
    if min(shape) < 1 or found > MAX_CHANNELS:
        raise DataError(f"an array of shape {shape}; images have pixels, and at most {MAX_CHANNELS} channels")
    require_channels(found, channels)
    if height * width > PIXELS.read():
        raise DataError(f"it has {PIXELS.explain(height * width)}")
    if math.prod(shape) * dtype.itemsize != len(data) - start:
        raise DataError("damaged or truncated (its size is not that of its shape)")
    header = ArrayHeader(height, width, found, dtype, is_fortran, start)
    if header.memory > DECODING_BYTES.read():
        raise DataError(f"decoding it takes {DECODING_BYTES.explain(header.memory)}")
    return header


def require_channels(found: int, channels: int) -> None:
    """Raise DataError if an image with ``found`` channels cannot be the input of a network with ``channels``."""
    if channels not in (GRAY, RGB):
        if found != channels:
            raise DataError(f"it has {_count(found)}, but {channels} are expected")
    elif found not in (GRAY, RGB):
        raise DataError(f"it has {_count(found)}, but 1 or 3 are expected; to use all, train with `channels` {found}")


def _count(channels: int) -> str:
    return f"{channels} channel{'s' * (channels != 1)}"


def _parse_header(data: bytes) -> tuple[tuple[int, ...], np.dtype[Any], bool, int]:
    """Return the shape, the type, the order and the place of the values. Objects would be a pickle, and are refused."""
    try:
        width = 2 if data[6] == 1 else 4
        start = 8 + width + int.from_bytes(data[8 : 8 + width], "little")
        if start > _MAX_HEADER or start > len(data):
            raise ValueError("its header is too long")
        fields = ast.literal_eval(data[8 + width : start].decode("latin1").strip())
        shape, dtype = fields["shape"], np.dtype(str(fields["descr"]))
        if type(shape) is not tuple or not all(type(side) is int and abs(side) < _MAX_SIDE for side in shape):
            raise ValueError("its shape is not one of an array")
        return shape, dtype, bool(fields["fortran_order"]), start
    except (ValueError, TypeError, KeyError, SyntaxError, IndexError, MemoryError, RecursionError) as error:
        raise DataError(f"a damaged .npy file ({error!s:.100})") from error


def read_array(data: bytes, header: ArrayHeader, bits: int) -> tuple[Tensor, int]:
    """Return the pixels of a .npy file.

    Args:
        data: Content of the file.
        header: Its header.
        bits: Number of bits that 16-bit values use, as in `zoo.data.decode.decode_image`.

    Returns:
        Pixels, uint8 of shape (C, H, W), and the largest value of 16-bit images, else 0.
    """
    values = np.frombuffer(data, header.dtype, offset=header.start)
    shape = header.height, header.width, header.channels
    array = values.reshape(shape, order="F" if header.is_fortran else "C")
    if header.dtype == np.uint8:
        return _to_tensor(array), 0
    return _to_tensor(reduce_values(array, bits)), int(array.max())


def reduce_values(values: NDArray[np.generic], bits: int) -> NDArray[np.uint8]:
    """Return the upper 8 of the lowest ``bits`` bits of 16-bit values. Larger values are 255."""
    reduced: NDArray[np.uint8] = (values >> np.uint16(bits - 8)).clip(max=255).astype(np.uint8)  # type: ignore[operator]
    return reduced


def _to_tensor(array: NDArray[np.generic]) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(array.transpose(2, 0, 1)).copy())


def fit_array(pixels: Tensor, channels: int) -> Tensor:
    """Repeat the only channel of an array for an input that is decoded as RGB."""
    return pixels.expand(RGB, -1, -1) if channels in (GRAY, RGB) and len(pixels) == GRAY else pixels


def to_rgba(image: Image.Image, channels: int) -> Image.Image:
    """Return a loaded image of at most 8 bits per value with four channels: RGB and alpha.

    Raises:
        DataError: If the input does not have four channels, or the image has no fourth one. The message is a clause.
    """
    found = len(image.getbands())
    if channels != _RGBA:
        raise DataError(f"image mode {image.mode} with {_count(found)}; for {channels} channels, use .npy files")
    if not image.has_transparency_data:
        raise DataError(f"image mode {image.mode} without a fourth channel; use RGBA images or .npy files")
    return image.convert("RGBA")
