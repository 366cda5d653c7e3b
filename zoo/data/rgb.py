"""Convert a Pillow image of any mode to 8-bit RGB, with white in place of transparent pixels."""

from __future__ import annotations

import io
import re
import sys
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from zoo.data.complete import check_png, check_rows
from zoo.errors import DataError

Bytes = NDArray[np.uint8]

_WHITE = (255, 255, 255, 255)
#: Pillow keeps only the upper 8 bits of 16-bit colors. With the other byte order, it keeps the lower 8 bits.
_DEEP_COLORS = re.compile(r"(RGB|RGBX|RGBA|LA);16([BLN])")
_OTHER_ORDER = {"B": "L", "L": "B"}
#: Factor by which Pillow multiplies gray values of 2 and 4 bits, but not the transparent value among them.
_SMALL_GRAYS = {"L;2": 85, "L;4": 17}
_BITS_PER_SAMPLE, _PHOTOMETRIC = 258, 262
_WHITE_IS_ZERO = 0


@dataclass(frozen=True)
class _Deep:
    """The values of an image with 16 bits per value."""

    #: Upper and lower 8 bits, of shape (height, width) or (height, width, 3 or 4).
    high: Bytes
    low: Bytes
    #: Number of bits that the values use, if the file states it.
    bits: int | None
    #: Whether 0 stands for white, as in some TIFFs.
    is_inverted: bool
    #: The value that stands for a transparent pixel, per channel.
    transparent: tuple[int, ...] | None

    @property
    def peak(self) -> int:
        """The largest value, without alpha."""
        colors = ... if self.high.ndim == 2 else np.s_[..., :3]
        high, low = self.high[colors], self.low[colors]
        top = high.max()
        return int(top) << 8 | int(low[high == top].max())

    def to_image(self, bits: int) -> Image.Image:
        """Return the upper 8 of the lowest ``bits`` bits. Larger values are white."""
        scaled = np.where(self.high >> (bits - 8), 255, self.high << (16 - bits) | self.low >> (bits - 8)).astype("u1")
        if self.is_inverted:
            scaled = 255 - scaled
        if scaled.ndim == 3 and scaled.shape[2] == 4:
            scaled[..., 3] = self.high[..., 3]  # A file with 12-bit colors has 16 bits of alpha.
        if self.transparent:
            scaled[self._find_transparent(self.transparent)] = 255
        return Image.fromarray(scaled)

    def _find_transparent(self, value: tuple[int, ...]) -> NDArray[np.bool_]:
        equal: NDArray[np.bool_] = (self.high == np.array(value) >> 8) & (self.low == np.array(value) & 255)
        return np.all(equal, axis=2) if equal.ndim == 3 else equal


def load(image: Image.Image, data: bytes, bits: int) -> tuple[Image.Image, int]:
    """Load an image, and reduce 16-bit values to 8 bits.

    Args:
        image: The image, opened but not loaded.
        data: The content of its file.
        bits: Number of bits that 16-bit values use, if the file does not state it.

    Returns:
        The image with its metadata, and its largest value if it has 16 bits per value and the file does not state how
        many of them are used; otherwise 0.

    Raises:
        DataError: If rows are missing. The message is a clause without a period.
    """
    check_rows(image)
    deep = _read_deep(image, data)
    if image.format == "PNG":
        check_png(image, data)
    if deep is None:
        return image, 0
    reduced = deep.to_image(deep.bits or bits)
    reduced.info = {name: value for name, value in image.info.items() if name != "transparency"}
    return reduced, 0 if deep.bits else deep.peak


def reduce_loaded(image: Image.Image, bits: int) -> tuple[Image.Image, int]:
    """Reduce 16-bit values of a loaded image to 8 bits, without the content of its file.

    Pillow has already reduced 16-bit colors. The arguments and the result are those of `load`.
    """
    if not image.mode.startswith("I;16") or (deep := _read_deep(image, b"")) is None:
        return image, 0
    reduced = deep.to_image(deep.bits or bits)
    reduced.info = {name: value for name, value in image.info.items() if name != "transparency"}
    return reduced, 0 if deep.bits else deep.peak


def rotate_upright(image: Image.Image) -> Image.Image:
    """Rotate an image according to its EXIF orientation, if it has one that can be read."""
    try:
        return ImageOps.exif_transpose(image)
    except Exception:  # noqa: BLE001  # Only the metadata is damaged; torchvision also ignores it.
        return image


def _read_deep(image: Image.Image, data: bytes) -> _Deep | None:
    rawmode = _get_rawmode(image)
    if image.mode == "L" and rawmode in _SMALL_GRAYS and isinstance(value := image.info.get("transparency"), int):
        image.info["transparency"] = value * _SMALL_GRAYS[rawmode]
    image.load()
    if image.mode.startswith("I;16"):
        values = np.asarray(image)
        high, low = (values >> 8).astype(np.uint8), (values & 255).astype(np.uint8)
    elif found := _DEEP_COLORS.fullmatch(rawmode):
        high, low = np.asarray(image), _read_lower(image, data, *found.groups())
    else:
        return None
    tags = getattr(image, "tag_v2", {})
    bits = tags.get(_BITS_PER_SAMPLE, (16,))[0]
    value = image.info.get("transparency")
    return _Deep(
        high,
        low,
        bits=bits if bits < 16 else None,
        is_inverted=tags.get(_PHOTOMETRIC) == _WHITE_IS_ZERO,
        transparent=value if value is None or isinstance(value, tuple) else (value,),
    )


def _read_lower(image: Image.Image, data: bytes, mode: str, order: str) -> Bytes:
    swapped = _OTHER_ORDER.get(order) or ("B" if sys.byteorder == "little" else "L")
    # Pillow cannot read LA in the other order, but the four bytes of a pixel are two for L and two for A.
    rawmode = "RGBA" if mode == "LA" else f"{mode};16{swapped}"
    with Image.open(io.BytesIO(data), formats=[image.format or ""]) as other:
        other.tile = [tile._replace(args=_replace_rawmode(tile.args, rawmode)) for tile in other.tile]
        other.load()
        return np.asarray(other)[..., [1, 1, 1, 3]] if mode == "LA" else np.asarray(other)


def _get_rawmode(image: Image.Image) -> str:
    """Return how the values are stored in the file, in Pillow's notation."""
    tiles = getattr(image, "tile", None)
    args = tiles[0].args if tiles else ""
    return str(args if isinstance(args, str) else args[0] if args else "")


def _replace_rawmode(args: tuple[Any, ...] | str | None, rawmode: str) -> tuple[Any, ...] | str:
    return (rawmode, *args[1:]) if isinstance(args, tuple) else rawmode


def to_rgb(image: Image.Image) -> Image.Image:
    """Convert a loaded image of at most 8 bits per value.

    Raises:
        DataError: If its colors are not defined. The message is a clause without a period.
    """
    if image.mode in ("I", "F"):
        raise DataError("32-bit or signed values without a defined white level; convert the image to 8 or 16 bits")
    if image.mode == "LAB":
        raise DataError("Lab colors; convert the image to RGB")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, _WHITE), image).convert("RGB")
    return image.convert("RGB")
