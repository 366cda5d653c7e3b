"""Images in memory: the bytes of a file, a file object, a PIL image, a NumPy array or a tensor."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from zoo.data.bands import require_channels, to_rgba
from zoo.data.channels import GRAY, RGB
from zoo.data.decode import Decoded, decoded
from zoo.data.marks import Mark
from zoo.data.pillow_tensors import from_pillow
from zoo.data.rgb import reduce_loaded, rotate_upright, to_rgb
from zoo.errors import DataError
from zoo.files.limits import IMAGE_BYTES, PIXELS

_BYTES = (bytes, bytearray, memoryview)
#: Numbers of channels: gray, RGB and RGBA.
_CHANNELS = (1, 3, 4)
#: Pillow cannot load an image in two threads at once, and a list may contain the same image twice.
_LOADING = Lock()


@dataclass(frozen=True, slots=True)
class MemoryImage:
    """An image in memory. It has no label."""

    #: A name for messages and results, such as ``image 3``.
    path: Path
    #: The content of a file, a PIL image, an array or a tensor.
    content: bytes | Image.Image | Any

    @contextmanager
    def decoded(self, bits: int | None = None, channels: int = RGB) -> Iterator[Decoded]:
        """Return a context with the decoded image, like `zoo.data.decode.decoded`.

        Raises:
            DataError: If the image cannot be decoded. The message is a clause that does not contain the name.
        """
        if isinstance(self.content, bytes):
            with decoded(self.content, bits, channels) as image:
                yield image
        elif isinstance(self.content, Image.Image) or channels in (GRAY, RGB):
            yield _reduce(_to_pil(self.content), bits or 16, channels)
        else:
            yield Decoded(_read_channels(self.content, channels), "", Mark(0))


def is_memory_image(value: object) -> bool:
    """Return whether a value is meant as one image in memory, even if it cannot be used."""
    return isinstance(value, (*_BYTES, Image.Image, np.ndarray, Tensor)) or callable(getattr(value, "read", None))


def build_memory_image(value: Any, number: int, channels: int = RGB) -> MemoryImage:
    """Return an image in memory.

    Args:
        value: The content of an image file; a file that is open in binary mode, which is read now; a PIL image; a uint8
            array of shape (height, width) or (height, width, channels); or a uint8 tensor of shape
            (channels, height, width). There are 1 (gray), 3 (RGB) or 4 (RGBA) channels.
        number: Index of the image in the list that contains it, for its name.
        channels: Number of channels of the input. With other numbers than 1 and 3, arrays and tensors have this number.

    Raises:
        DataError: If the value has another type or shape, or is empty.
    """
    name = f"image {number}"
    if isinstance(value, _BYTES):
        return MemoryImage(Path(name), bytes(value))
    if isinstance(value, np.ndarray):
        _check_array(name, value, channels)
    elif isinstance(value, Tensor):
        _check_tensor(name, value, channels)
    elif not isinstance(value, Image.Image):
        return MemoryImage(Path(name), _read(name, value))
    return MemoryImage(Path(name), value)


def _check_array(name: str, array: NDArray[Any], channels: int) -> None:
    if channels not in (GRAY, RGB):
        has_shape = array.ndim == 3 and array.shape[2] == channels
        _check(name, array, has_shape, f"an array of shape (height, width, {channels})")
        return
    has_shape = array.ndim == 2 or (array.ndim == 3 and array.shape[2] in _CHANNELS)
    _check(name, array, has_shape, "an array of shape (height, width, 3) or (height, width)")


def _check_tensor(name: str, tensor: Tensor, channels: int) -> None:
    if channels not in (GRAY, RGB):
        has_shape = tensor.ndim == 3 and tensor.shape[0] == channels
        _check(name, tensor, has_shape, f"a tensor of shape ({channels}, height, width)")
        return
    has_shape = tensor.ndim == 3 and tensor.shape[0] in _CHANNELS
    _check(name, tensor, has_shape, "a tensor of shape (3, height, width) or (1, height, width)")


def _check(name: str, value: Any, has_shape: bool, wanted: str) -> None:  # noqa: FBT001  # private, and all are needed
    """Check the shape and the type of an array or tensor."""
    shape, dtype = tuple(value.shape), str(value.dtype).removeprefix("torch.")
    if 0 in shape:
        raise DataError(f"{name} is empty: its shape is {shape}; expected {wanted}.")
    if not has_shape:
        hint = " To pass several images, pass a list of them." if len(shape) == 4 else ""
        raise DataError(f"{name} has the shape {shape}; expected {wanted}.{hint}")
    if dtype != "uint8":
        raise DataError(
            f"{name} has values of type {dtype}; expected uint8 from 0 to 255, before normalization. Multiply values "
            "between 0 and 1 by 255, and round them."
        )


def _read(name: str, file: Any) -> bytes:
    """Return the content of a file object."""
    try:
        data = file.read(IMAGE_BYTES.read() + 1)
    except (OSError, ValueError, TypeError) as error:  # a ValueError if it is closed
        raise DataError(f"{name} is a file that cannot be read: {error}.") from error
    if not isinstance(data, _BYTES):
        raise DataError(f"{name} is a file that returns {type(data).__name__}; open it in binary mode ('rb').")
    if len(data) > IMAGE_BYTES.read():
        raise DataError(f"{name} has {IMAGE_BYTES.explain(len(data))}.")
    return bytes(data)


def _to_pil(content: Any) -> Image.Image:
    if isinstance(content, Image.Image):
        return content
    array = content.detach().cpu().permute(1, 2, 0).numpy() if isinstance(content, Tensor) else content
    return Image.fromarray(array[:, :, 0] if array.ndim == 3 and array.shape[2] == 1 else array)


def _read_channels(content: NDArray[np.uint8] | Tensor, channels: int) -> Tensor:
    """Return the pixels of an array or a tensor that has the channels of the input."""
    if isinstance(content, Tensor):
        pixels = content.detach().cpu()
    else:
        pixels = torch.from_numpy(np.ascontiguousarray(content.transpose(2, 0, 1)))
    require_channels(len(pixels), channels)
    if (count := pixels[0].numel()) > PIXELS.read():
        raise DataError(f"it has {PIXELS.explain(count)}")
    return pixels


def _reduce(image: Image.Image, bits: int, channels: int) -> Decoded:
    """Return the pixels by the rules for files: orientation, white in place of transparent pixels, 16-bit values."""
    if (count := image.width * image.height) > PIXELS.read():
        raise DataError(f"it has {PIXELS.explain(count)}")
    if not count:
        raise DataError("it has no pixels")
    try:
        with _LOADING:
            image.load()
        reduced, peak = reduce_loaded(image, bits)
        upright = rotate_upright(reduced)
        converted = to_rgb(upright) if channels in (GRAY, RGB) else to_rgba(upright, channels)
        pixels = from_pillow(converted)
    except (DataError, MemoryError):
        raise
    except Exception as error:  # Decoders raise many kinds of exceptions on damaged files.
        raise DataError(f"damaged or truncated ({error})") from error
    return Decoded(pixels, "", Mark(0), peak)
