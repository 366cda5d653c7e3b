"""One image file becomes pixels: upright, RGB, 8 bits, whole, or not at all."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import cast

import numpy as np
import torch
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor
from torchvision.transforms.v2.functional import pil_to_tensor  # type: ignore[import-untyped]  # it has no types

from zoo.errors import DataError

#: Pixels of the largest image that is decoded; 100 megapixels hide in a PNG of 12 kB. It is the limit at which Pillow
#: begins to warn.
MAX_PIXELS = 2**28 // 3
#: Bytes of the largest file that is read.
MAX_BYTES = 2**29

#: What Pillow may open: every format more is more to attack.
_FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF")
_WHITE = (255, 255, 255, 255)
#: The operator that importing torchvision loads. ``torchvision.io`` around it is deprecated since 0.29 and warns, which
#: strict test suites turn into an error for every image; when the operator is gone as well, Pillow takes over.
_TURBO = getattr(torch.ops.image, "decode_jpeg", None)
_RGB = 3


def decode_image(source: Path | bytes) -> Tensor:
    """Return the image as uint8 of shape (3, height, width), turned upright as its EXIF orientation says.

    Grey and palettes become RGB, 16 bits keep their upper 8, transparency is laid over white, and of several frames
    the first is taken. A file that ends too early is no image; damage in the middle of a JPEG cannot be told.

    Raises:
        DataError: it cannot be read or decoded, or is larger than ``MAX_PIXELS``; names the path, if it is one.
    """
    if isinstance(source, bytes):
        return _decode(source)
    try:
        return _decode(read_image_file(source))
    except DataError as error:
        raise DataError(f"cannot use the image {str(source)!r}: {error}.") from error


def read_image_file(path: Path) -> bytes:
    """Return the bytes of a regular file. Raises DataError with the reason alone, without the path."""
    try:
        if not path.is_file():  # opening a pipe would wait for ever
            raise DataError("it is not a file" if path.exists() else "there is no such file")
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise DataError(f"{error.strerror or error}") from error
    if len(data) > MAX_BYTES:
        raise DataError(f"it is larger than {MAX_BYTES // 2**20} MiB")
    return data


@contextmanager
def quiet_pillow() -> Iterator[None]:
    """Keep Pillow's warnings about odd metadata and about size from the user: none of them changes a pixel.

    The whole process is concerned: put it around threads, not in them.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"PIL\.")
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        yield


def _decode(data: bytes) -> Tensor:
    if not data:
        raise DataError("the file is empty")
    try:
        with Image.open(io.BytesIO(data), formats=_FORMATS) as image:
            width, height = image.size
            if width * height > MAX_PIXELS:
                raise DataError(f"{width} x {height} pixels are more than {MAX_PIXELS // 10**6} megapixels")
            if _TURBO and image.format in ("JPEG", "MPO"):  # MPO is several JPEGs in one file
                return _decode_jpeg(data, _TURBO)
            return _to_pixels(image)
    except DataError:
        raise
    except UnidentifiedImageError as error:
        raise DataError("no image of a format that is read") from error
    except Image.DecompressionBombError as error:
        raise DataError(f"more than {MAX_PIXELS // 10**6} megapixels") from error
    except MemoryError:
        raise
    except Exception as error:  # on damaged files decoders raise whatever comes to hand
        raise DataError(f"damaged or cut off ({_first_line(error)})") from error


def _decode_jpeg(data: bytes, decode: Callable[..., Tensor]) -> Tensor:
    # It is faster, and where a picture is cut off and something else follows, Pillow fills it with grey. For JPEG
    # alone: torchvision's decoder ends the process on some damaged PNGs, and forgets the orientation of WebP.
    upright = True
    return decode(torch.frombuffer(bytearray(data), dtype=torch.uint8), _RGB, upright)


def _to_pixels(image: Image.Image) -> Tensor:
    image.load()
    return cast("Tensor", pil_to_tensor(_to_rgb(_turn_upright(image))))


def _turn_upright(image: Image.Image) -> Image.Image:
    try:
        return ImageOps.exif_transpose(image)
    except Exception:  # noqa: BLE001  # damaged metadata around whole pixels; torchvision passes over it as well
        return image


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode in ("I", "F"):
        raise DataError("32-bit pixels, of which nothing says what is white; convert them to 8 or 16 bits")
    if image.mode.startswith("I;16"):
        # Pillow's own conversion clips: nearly every pixel would be white.
        return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8)).convert("RGB")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, _WHITE), image).convert("RGB")
    return image.convert("RGB")


def _first_line(error: Exception) -> str:
    # torchvision puts the place in its own source before the reason.
    lines = str(error).splitlines() or [type(error).__name__]
    return lines[0].rpartition(".cpp:")[2].partition(", ")[2] or lines[0]
