"""Decode an image file to upright 8-bit RGB pixels."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import cast

import numpy as np
import torch
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor
from torchvision.transforms.v2.functional import pil_to_tensor  # type: ignore[import-untyped]  # it has no types

from zoo.errors import DataError

#: Maximum number of pixels in an image. A PNG file of 12 kB can contain 100 megapixels. Pillow warns above the same
#: limit.
MAX_PIXELS = 2**28 // 3
#: Maximum size of an image file in bytes.
MAX_BYTES = 2**29

#: Formats that Pillow may open. Every additional format would increase the attack surface.
_FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF")
_WHITE = (255, 255, 255, 255)
#: JPEG decoder that is registered when torchvision is imported. The public function for it in ``torchvision.io`` has
#: been deprecated since 0.29, and the warning is an error in strict test suites. Without this operator, Pillow decodes
#: JPEGs.
_TURBO = getattr(torch.ops.image, "decode_jpeg", None)
_RGB = 3


def decode_image(source: Path | bytes) -> Tensor:
    """Decode an image to uint8 of shape (3, height, width), rotated according to its EXIF orientation.

    Grayscale and palette images are converted to RGB, 16-bit images are reduced to their upper 8 bits, and transparent
    images are blended with white. If an image has several frames, the first one is used. A truncated file is an error,
    but damage in the middle of a JPEG cannot be detected.

    Raises:
        DataError: If the image cannot be read or decoded, or has more than ``MAX_PIXELS`` pixels. The message contains
            the path if ``source`` is one.
    """
    if isinstance(source, bytes):
        return _decode(source)
    try:
        return _decode(read_image_file(source))
    except DataError as error:
        raise DataError(f"cannot use the image {str(source)!r}: {error}.") from error


def read_image_file(path: Path) -> bytes:
    """Return the bytes of a regular file. Raises DataError; the message contains the reason but not the path."""
    try:
        if not path.is_file():  # Opening a named pipe would block forever.
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
    """Suppress Pillow's warnings about metadata and image size, which do not affect the pixels.

    Warning filters apply to the entire process, so use this context around threads, not inside them.
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
            if _TURBO and image.format in ("JPEG", "MPO"):  # MPO files contain several JPEGs.
                # torchvision is faster than Pillow. Pillow also fills a truncated image with gray if other data follows
                # it. Other formats are left to Pillow, because torchvision crashes on some damaged PNGs and ignores the
                # orientation of WebP.
                encoded = torch.frombuffer(bytearray(data), dtype=torch.uint8)
                return cast("Tensor", _TURBO(encoded, mode=_RGB, apply_exif_orientation=True))
            image.load()
            return cast("Tensor", pil_to_tensor(_to_rgb(_rotate_upright(image))))
    except (DataError, MemoryError):
        raise
    except UnidentifiedImageError as error:
        raise DataError("not an image in a supported format") from error
    except Image.DecompressionBombError as error:
        raise DataError(f"more than {MAX_PIXELS // 10**6} megapixels") from error
    except Exception as error:  # Decoders raise many kinds of exceptions on damaged files.
        raise DataError(f"damaged or truncated ({_first_line(error)})") from error


def _rotate_upright(image: Image.Image) -> Image.Image:
    try:
        return ImageOps.exif_transpose(image)
    except Exception:  # noqa: BLE001  # Only the metadata is damaged; torchvision also ignores it.
        return image


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode in ("I", "F"):
        raise DataError("32-bit pixels without a defined white level; convert the image to 8 or 16 bits")
    if image.mode.startswith("I;16"):
        # Pillow's own conversion clips, which would turn nearly every pixel white.
        return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8)).convert("RGB")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, _WHITE), image).convert("RGB")
    return image.convert("RGB")


def _first_line(error: Exception) -> str:
    # torchvision's messages begin with a location in its source code.
    lines = str(error).splitlines() or [type(error).__name__]
    return lines[0].rpartition(".cpp:")[2].partition(", ")[2] or lines[0]
