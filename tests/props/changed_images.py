"""Image files that are changed at random and decoded: zoo decodes each, or refuses it with an error of its own."""

from __future__ import annotations

import random
import struct
import traceback
import zlib
from collections.abc import Callable
from functools import cache
from importlib.util import find_spec

import numpy as np
from PIL import Image, features

from made_images import COLOR_ALPHA, GRAY, RGB, encode, make_png, make_tiff
from zoo.data.decode import decoded, quiet_pillow
from zoo.errors import DataError

SIDE = 96
_PNG_START = 8
#: Bytes at the beginning of a file, which contain the width, the height and the type of most formats.
_HEADER = 128


@cache
def make_samples() -> dict[str, bytes]:
    """Return an undamaged file of each kind, by its name."""
    noise = np.random.default_rng(0).integers(0, 256, (SIDE // 4, SIDE // 4, 4), dtype=np.uint8)
    clear = Image.fromarray(noise).resize((SIDE, SIDE))
    photo, frames = clear.convert("RGB"), {"save_all": True, "append_images": [clear.rotate(90)]}
    rows = [bytes(8 * SIDE)] * 8
    samples = {
        "JPEG": encode(photo, "JPEG", exif=_make_exif()),
        "progressive JPEG": encode(photo, "JPEG", progressive=True),
        "CMYK JPEG": encode(photo.convert("CMYK"), "JPEG"),
        "PNG": encode(clear, "PNG", exif=_make_exif()),
        "palette PNG": encode(photo.quantize(16), "PNG", transparency=0),
        "animated PNG": encode(clear, "PNG", **frames),
        "black PNG": encode(Image.new("L", (SIDE, SIDE)), "PNG"),
        "interlaced PNG": _make_interlaced(),
        "large PNG": encode(Image.new("1", (4000, 4000), 1), "PNG"),  # Its header must be enough to refuse it.
        "16-bit PNG": make_png(SIDE, [row[: 2 * SIDE] for row in rows], 16, GRAY),
        "16-bit RGBA PNG": make_png(SIDE, rows, 16, COLOR_ALPHA),
        "WebP": encode(clear, "WEBP"),
        "lossless WebP": encode(clear, "WEBP", lossless=True),
        "animated WebP": encode(clear, "WEBP", **frames),
        "GIF": encode(photo.quantize(16), "GIF"),
        "animated GIF": encode(clear, "GIF", **frames),
        "BMP": encode(photo, "BMP"),
        "TIFF": encode(clear, "TIFF"),
        **{f"TIFF, {name}": encode(photo, "TIFF", compression=name) for name in ("tiff_lzw", "jpeg", "tiff_deflate")},
        "16-bit TIFF": make_tiff(SIDE, bytes(2 * SIDE)),
        "16-bit RGB TIFF": make_tiff(SIDE, bytes(6 * SIDE), bits=(16, 16, 16), photometric=RGB),
    }
    if features.check("avif"):
        samples |= {"AVIF": encode(photo, "AVIF"), "animated AVIF": encode(clear, "AVIF", **frames)}
    if find_spec("pillow_heif"):
        samples["HEIC"] = _encode_heic(photo)
    return samples


def _make_exif() -> Image.Exif:
    exif = Image.Exif()
    exif[0x112] = 6
    return exif


def _make_interlaced() -> bytes:
    """Return a gray PNG whose rows are stored in seven passes."""
    sides = ((8, 8), (8, 8), (4, 8), (4, 4), (2, 4), (2, 2), (1, 2))
    rows = [bytes(SIDE // across) for across, down in sides for _ in range(SIDE // down)]
    data = bytearray(make_png(SIDE, rows, 8, GRAY))
    struct.pack_into(">I", data, 20, SIDE)
    data[28] = 1
    return _correct_checksums(data)


def _encode_heic(photo: Image.Image) -> bytes:
    import pillow_heif  # type: ignore[import-untyped]

    pillow_heif.register_heif_opener()
    return encode(photo, "HEIF")


def change(data: bytes, seed: int) -> bytes:
    """Change a file at random. The checksums of a PNG are then corrected, so that the changes reach the decoder."""
    draw = random.Random(seed)
    changed = draw.choice(_CHANGES)(bytearray(data), draw)
    return _correct_checksums(changed) if data.startswith(b"\x89PNG") and draw.random() < 0.8 else bytes(changed)


def _flip_bits(data: bytearray, draw: random.Random) -> bytearray:
    for _ in range(draw.choice((1, 1, 2, 8, 64))):
        data[draw.randrange(len(data))] ^= 1 << draw.randrange(8)
    return data


def _change_header(data: bytearray, draw: random.Random) -> bytearray:
    for _ in range(draw.randint(1, 4)):
        data[draw.randrange(min(len(data), _HEADER))] = draw.choice((0, 1, 0x7F, 0x80, 0xFF, draw.randrange(256)))
    return data


def _change_number(data: bytearray, draw: random.Random) -> bytearray:
    """Write a number of 2 or 4 bytes at random, such as a size or an offset. The directory of a TIFF is at its end."""
    width, last = draw.choice("HI"), len(data) - 4
    place = draw.choice((draw.randrange(min(last, _HEADER)), draw.randrange(max(last - 2 * _HEADER, 0), last)))
    number = draw.choice((0, 1, SIDE - 1, 1000, 4000, 30_000, 65_535, 2**24, 2**31 - 1, 2**32 - 1))
    struct.pack_into(draw.choice("<>") + width, data, place, number % 2 ** (16 if width == "H" else 32))
    return data


def _truncate(data: bytearray, draw: random.Random) -> bytearray:
    return data[: draw.randrange(len(data))]


def _repeat(data: bytearray, draw: random.Random) -> bytearray:
    """Insert a part of the file at another place, once or many times."""
    first, place = draw.randrange(len(data)), draw.randrange(len(data))
    part = data[first : first + draw.choice((4, 64, 1000))]
    return data[:place] + part * draw.choice((1, 2, 300)) + data[place:]


_CHANGES: tuple[Callable[[bytearray, random.Random], bytearray], ...] = (
    _flip_bits, _change_header, _change_number, _truncate, _repeat,
)  # fmt: skip


def _correct_checksums(data: bytearray) -> bytes:
    place = _PNG_START
    while place + 12 <= len(data):
        end = place + 8 + int.from_bytes(data[place : place + 4])
        if end + 4 > len(data):
            break
        data[end : end + 4] = struct.pack(">I", zlib.crc32(data[place + 4 : end]))
        place = end + 4
    return bytes(data)


def decode_changed(name: str, seed: int) -> str | None:
    """Change and decode a file. Return why it is a failure, or None."""
    data = change(make_samples()[name], seed)
    try:
        with quiet_pillow(), decoded(data) as image:
            if image.pixels.ndim != 3 or image.pixels.shape[0] != 3 or not 0 <= image.peak < 2**16:
                return f"{name} {seed}: {tuple(image.pixels.shape)}, peak {image.peak}"
    except DataError as error:
        return None if str(error) and "\n" not in str(error) else f"{name} {seed}: an error of several lines"
    except Exception:  # noqa: BLE001  # This is what the test looks for.
        return f"{name} {seed}: {traceback.format_exc(limit=-1)}"
    return None
