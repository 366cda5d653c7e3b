"""Decode an image file to upright 8-bit pixels: RGB, or the channels of a network that takes others."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

import torch
from PIL import Image, UnidentifiedImageError
from torch import Tensor

from zoo.data.bands import fit_array, is_array, read_array, read_array_header, to_rgba
from zoo.data.channels import GRAY, RGB
from zoo.data.decoding_memory import DECODING, estimate_memory
from zoo.data.file_kinds import explain_unidentified, is_heic, reads_avif, reads_heic
from zoo.data.image_bytes import read_image_file
from zoo.data.jpeg_decoder import find_jpeg_decoder
from zoo.data.marks import Mark, read_marks
from zoo.data.pillow_tensors import from_pillow
from zoo.data.rgb import load, rotate_upright, to_rgb
from zoo.errors import DataError, ZooError
from zoo.files.limits import PIXELS

#: Formats that Pillow may open. Every additional format would increase the attack surface.
_FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF", *(("AVIF",) if reads_avif() else ()))
#: torchvision's JPEG decoder. Without it, Pillow decodes JPEGs.
_TURBO = find_jpeg_decoder()


@dataclass(frozen=True, slots=True)
class Decoded:
    """A decoded image."""

    #: uint8 of shape (3, height, width), or with the channels that were asked for.
    pixels: Tensor
    #: Pillow's name of the file format, such as ``JPEG``.
    format: str
    marks: Mark
    #: Largest value of an image with 16 bits per value, whose values may use fewer bits; otherwise 0.
    peak: int = 0


def decode_image(source: Path | bytes, bits: int | None = None, channels: int = RGB) -> Tensor:
    """Decode an image to uint8 of shape (3, height, width), rotated according to its EXIF orientation.

    Grayscale and palette images are converted to RGB, and transparent images are blended with white. If an image has
    several frames, the first one is used. A truncated file is an error, but damage in the middle of a JPEG cannot be
    detected. Arrays in .npy files are not changed.

    Args:
        source: The path of the file, or its content.
        bits: Number of bits that the values of 16-bit images use, 8 to 16. The upper 8 of them are kept, and larger
            values are white. Default: 16, unless the file states a smaller number.
        channels: Number of channels of the input. Images are decoded as RGB for 1 and 3; with any other number, nothing
            is converted, and the result has the shape (channels, height, width).

    Raises:
        DataError: If the image cannot be read or decoded, or exceeds a limit of `zoo.files.limits`. The message
            contains the path if ``source`` is one.
    """
    with decoded(source, bits, channels) as image:
        return image.pixels


@contextmanager
def decoded(source: Path | bytes, bits: int | None = None, channels: int = RGB) -> Iterator[Decoded]:
    """Return a context with a decoded image, whose pixels are those of `decode_image`.

    Use it in threads. It reserves the memory for the image, so other threads wait if all images together would take too
    much. Within the context, reduce the image to what you keep.
    """
    with ExitStack() as stack:
        try:
            data = source if isinstance(source, bytes) else read_image_file(source)
            image = stack.enter_context(_decoded(data, bits or 16, channels))
        except DataError as error:
            if isinstance(source, bytes):
                raise
            raise DataError(f"cannot use the image {str(source)!r}: {error}.") from error
        yield image


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
def _decoded(data: bytes, bits: int, channels: int) -> Iterator[Decoded]:
    if not data:
        raise DataError("the file is empty")
    if is_array(data):
        header = read_array_header(data, channels)
        with DECODING.reserve(header.memory):
            pixels, peak = read_array(data, header, bits)
            yield Decoded(fit_array(pixels, channels), "NPY", Mark.DEEP if peak else Mark(0), peak)
        return
    with _explained(data):
        image = _open(data)
        is_jpeg = image.format in ("JPEG", "MPO")  # MPO files contain several JPEGs.
        turbo = _TURBO is not None and is_jpeg and channels in (GRAY, RGB)
        memory = estimate_memory(image, data, turbo=turbo)
    with DECODING.reserve(memory):
        with _explained(data), image:
            result = _decode_with_turbo(image, data) if turbo else _decode_with_pillow(image, data, bits, channels)
        del image  # It may have its own copy of the pixels.
        yield result


def _open(data: bytes) -> Image.Image:
    """Open an image. This reads only its header."""
    if is_heic(data) and reads_heic():
        import_module("pillow_heif").register_heif_opener(thumbnails=False)
        return Image.open(io.BytesIO(data), formats=("HEIF",))
    return Image.open(io.BytesIO(data), formats=_FORMATS)


@contextmanager
def _explained(data: bytes) -> Iterator[None]:
    try:
        yield
    except (ZooError, MemoryError):
        raise
    except UnidentifiedImageError as error:
        raise DataError(explain_unidentified(data)) from error
    except Image.DecompressionBombError as error:
        found = re.search(r"(\d+) pixels", str(error))
        raise DataError(f"it has {PIXELS.explain(int(found[1]))}" if found else str(error)) from error
    except Exception as error:  # Decoders raise many kinds of exceptions on damaged files.
        raise DataError(f"damaged or truncated ({_first_line(error)})") from error


def _decode_with_turbo(image: Image.Image, data: bytes) -> Decoded:
    """Decode a JPEG with torchvision; ``image`` is its header.

    It is faster than Pillow. Pillow also fills a truncated image with gray if other data follows it. Other formats are
    left to Pillow, because torchvision crashes on some damaged PNGs and ignores the orientation of WebP.
    """
    assert _TURBO is not None
    encoded = torch.frombuffer(bytearray(data), dtype=torch.uint8)
    pixels = _TURBO(encoded, mode=RGB, apply_exif_orientation=True)
    return Decoded(pixels, "JPEG", read_marks(image))


def _decode_with_pillow(image: Image.Image, data: bytes, bits: int, channels: int) -> Decoded:
    loaded, peak = load(image, data, bits)
    marks = read_marks(image) | (Mark(0) if loaded is image else Mark.DEEP)
    upright = rotate_upright(loaded)
    if channels in (GRAY, RGB):
        converted = to_rgb(upright)
    else:
        converted, marks = to_rgba(upright, channels), marks & ~Mark.ALPHA
    return Decoded(from_pillow(converted), image.format or "", marks, peak)


def _first_line(error: Exception) -> str:
    # torchvision's messages begin with a location in its source code.
    lines = str(error).splitlines() or [type(error).__name__]
    return lines[0].rpartition(".cpp:")[2].partition(", ")[2] or lines[0]
