"""Decode an image file to upright 8-bit RGB pixels."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import cast

import numpy as np
import torch
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor
from torchvision.transforms.v2.functional import pil_to_tensor  # type: ignore[import-untyped]  # it has no types

from zoo.data.decoding_memory import DECODING, estimate_memory
from zoo.data.image_bytes import read_image_file
from zoo.errors import DataError, ZooError
from zoo.files.limits import PIXELS

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
        DataError: If the image cannot be read or decoded, or exceeds a limit of `zoo.files.limits`. The message
            contains the path if ``source`` is one.
    """
    with decoded(source) as pixels:
        return pixels


@contextmanager
def decoded(source: Path | bytes) -> Iterator[Tensor]:
    """Return a context with the pixels of an image, as from `decode_image`.

    Use it in threads. It reserves the memory for the image, so other threads wait if all images together would take too
    much. Within the context, reduce the image to what you keep.
    """
    with ExitStack() as stack:
        try:
            data = source if isinstance(source, bytes) else read_image_file(source)
            pixels = stack.enter_context(_decoded(data))
        except DataError as error:
            if isinstance(source, bytes):
                raise
            raise DataError(f"cannot use the image {str(source)!r}: {error}.") from error
        yield pixels


@contextmanager
def quiet_pillow() -> Iterator[None]:
    """Suppress Pillow's warnings about metadata and image size, which do not affect the pixels, and use our own limit.

    Both apply to the entire process, so use this context around threads, not inside them.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"PIL\.")
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        before, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, PIXELS.read()
        try:
            yield
        finally:
            Image.MAX_IMAGE_PIXELS = before


@contextmanager
def _decoded(data: bytes) -> Iterator[Tensor]:
    if not data:
        raise DataError("the file is empty")
    with _explained():
        image = Image.open(io.BytesIO(data), formats=_FORMATS)  # This reads only the header.
        turbo = _TURBO is not None and image.format in ("JPEG", "MPO")  # MPO files contain several JPEGs.
        memory = estimate_memory(image, data, turbo=turbo)
    with DECODING.reserve(memory):
        with _explained(), image:
            pixels = _decode_jpeg(data) if turbo else _decode_with_pillow(image)
        del image  # It may have its own copy of the pixels.
        yield pixels


@contextmanager
def _explained() -> Iterator[None]:
    try:
        yield
    except (ZooError, MemoryError):
        raise
    except UnidentifiedImageError as error:
        raise DataError("not an image in a supported format") from error
    except Image.DecompressionBombError as error:
        found = re.search(r"(\d+) pixels", str(error))
        raise DataError(f"it has {PIXELS.explain(int(found[1]))}" if found else str(error)) from error
    except Exception as error:  # Decoders raise many kinds of exceptions on damaged files.
        raise DataError(f"damaged or truncated ({_first_line(error)})") from error


def _decode_jpeg(data: bytes) -> Tensor:
    """Decode a JPEG with torchvision.

    It is faster than Pillow. Pillow also fills a truncated image with gray if other data follows it. Other formats are
    left to Pillow, because torchvision crashes on some damaged PNGs and ignores the orientation of WebP.
    """
    assert _TURBO is not None
    encoded = torch.frombuffer(bytearray(data), dtype=torch.uint8)
    return cast("Tensor", _TURBO(encoded, mode=_RGB, apply_exif_orientation=True))


def _decode_with_pillow(image: Image.Image) -> Tensor:
    image.load()
    return cast("Tensor", pil_to_tensor(_to_rgb(_rotate_upright(image))))


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
