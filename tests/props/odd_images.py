"""Readable image files of unusual kinds, by name: the findings that zoo reports about each, and how to make it.

Each function takes a number and returns the content of a file. Different numbers give different images.
"""

from __future__ import annotations

import struct
from collections.abc import Callable

import numpy as np
from PIL import Image, features

from made_images import COLOR, COLOR_ALPHA, encode, make_png, make_tiff

Make = Callable[[int], bytes]

WIDTH, HEIGHT = 96, 64
#: A profile begins with its size. zoo does not read the rest.
PROFILE = struct.pack(">I", 600) + b"Display P3".ljust(596, b"\0")
_ORIENTATION, _GPS, _MAKER_NOTE, _EXIF = 0x112, 0x8825, 0x927C, 0x8769


def draw(number: int, size: tuple[int, int] = (WIDTH, HEIGHT)) -> Image.Image:
    """Generate an image with details of all sizes."""
    values = np.random.default_rng(number).integers(0, 256, (8, 12, 3), dtype=np.uint8)
    return Image.fromarray(values).resize(size, Image.Resampling.BICUBIC)


def make_exif(orientation: int, note: int = 0) -> Image.Exif:
    """Return metadata with an orientation and, if ``note`` is not 0, a position and a maker note of that many bytes."""
    exif = Image.Exif()
    exif[_ORIENTATION] = orientation
    if note:
        exif.get_ifd(_EXIF)[_MAKER_NOTE] = bytes(range(256)) * (note // 256)
        exif.get_ifd(_GPS).update({1: "N", 2: (52.0, 31.0, 12.0), 3: "E", 4: (13.0, 24.0, 36.0)})
    return exif


def make_scans(number: int, count: int) -> bytes:
    """Make a progressive JPEG with this number of scans, by repeating the last one."""
    data = encode(draw(number), "JPEG", progressive=True)
    last = data[data.rindex(b"\xff\xda") : -2]
    return data[:-2] + last * (count - data.count(b"\xff\xda")) + data[-2:]


def make_deep(number: int, bits: int) -> Image.Image:
    """Generate a grayscale image of 16 bits per value, of which only some are used."""
    return Image.fromarray(np.asarray(draw(number).convert("L")).astype(np.uint16) << (bits - 8))


def _make_deep_colors(number: int, color: int) -> bytes:
    values = np.asarray(draw(number).convert("RGBA" if color == COLOR_ALPHA else "RGB")).astype(">u2") * 257
    return make_png(WIDTH, [row.tobytes() for row in values], 16, color)


def _make_twelve_bits(number: int) -> bytes:
    values = np.asarray(draw(number, (64, 64)).convert("L")).reshape(-1, 2).astype(np.uint16) * 16
    packed = np.stack([values[:, 0] >> 4, values[:, 0] << 4 & 0xF0 | values[:, 1] >> 8, values[:, 1] & 0xFF], 1)
    return make_tiff(64, packed.astype(np.uint8).tobytes(), bits=(12,), tags={257: 64, 278: 64})


def _make_ycck(number: int) -> bytes:
    data = bytearray(encode(draw(number).convert("CMYK"), "JPEG"))
    data[data.index(b"Adobe") + 11] = 2  # This byte is the color transform in the marker.
    return bytes(data)


def _without_adobe(data: bytes) -> bytes:
    """Remove the marker of Adobe, whose length is 14."""
    start = data.index(b"\xff\xee")
    return data[:start] + data[start + 16 :]


def _with_exif(number: int, body: bytes) -> bytes:
    return encode(draw(number), "JPEG", exif=b"Exif\0\0" + body)


def _with_comments(number: int) -> bytes:
    data = encode(draw(number), "JPEG")
    return data[:2] + (b"\xff\xfe\xff\xff" + b"\xff\xda" * 32766 + b"x") * 16 + data[2:]


def _turn_over(number: int) -> bytes:
    """Make a BMP whose rows are stored from top to bottom."""
    data = bytearray(encode(draw(number), "BMP"))
    struct.pack_into("<i", data, 22, -HEIGHT)
    return bytes(data)


def _make_run_lengths(number: int) -> bytes:
    """Make a BMP with run-length encoding, in which each row consists of runs of one pixel."""
    image = draw(number).quantize(64)
    rows = (b"".join(b"\1" + bytes([value]) for value in row) + b"\0\0" for row in np.asarray(image)[::-1])
    data, plain = b"".join(rows) + b"\0\1", bytearray(encode(image, "BMP"))
    start = struct.unpack_from("<I", plain, 10)[0]
    struct.pack_into("<I", plain, 2, start + len(data))
    struct.pack_into("<II", plain, 30, 1, len(data))  # The compression, and the size of the data.
    return bytes(plain[:start]) + data


def _animate(kind: str, *, damaged: bool = False) -> Make:
    def make(number: int) -> bytes:
        frames = {"save_all": True, "append_images": [draw(9000 + number)]}
        data = encode(draw(number), kind, **frames, **({} if kind == "GIF" else {"lossless": True}))
        return data[: len(data) * 3 // 4] if damaged else data

    return make


def _save(kind: str, mode: str = "RGB", **options: object) -> Make:
    def make(number: int) -> bytes:
        image = draw(number).quantize(64) if mode == "P" else draw(number).convert(mode)
        return encode(image, kind, **options)

    return make


def _fill(color: tuple[int, int, int]) -> Make:
    return lambda number: encode(Image.new("RGB", (WIDTH + number, HEIGHT), color), "PNG")


def _rotate(orientation: int) -> Make:
    return lambda number: encode(draw(number), "JPEG", exif=make_exif(orientation))


def _make_clear_palette(number: int) -> bytes:
    return encode(draw(number).quantize(64), "PNG", transparency=0)


def _make_gray_alpha(number: int) -> bytes:
    image = draw(number).convert("LA")
    image.putalpha(Image.linear_gradient("L").resize(image.size))
    return encode(image, "PNG")


#: Findings about each file, and how to make it.
ODD_IMAGES: dict[str, tuple[tuple[str, ...], Make]] = {
    "png.jpg": (("wrong-suffix",), _save("PNG")),
    "webp.png": (("wrong-suffix",), _save("WEBP", lossless=True)),
    "gif.jpg": (("wrong-suffix", "palette"), _save("GIF", "P")),
    "tiff.png": (("wrong-suffix",), _save("TIFF")),
    "bmp.jpeg": (("wrong-suffix",), _save("BMP")),
    "jpeg.heic": (("wrong-suffix",), _save("JPEG")),
    "animated.gif": (("animated", "palette"), _animate("GIF")),
    "animated.webp": (("animated",), _animate("WEBP")),
    "animated.png": (("animated",), _animate("PNG")),
    "damaged-second-frame.gif": (("animated", "palette"), _animate("GIF", damaged=True)),
    "pages.tiff": ((), _save("TIFF", save_all=True, append_images=[draw(9999)])),
    "previews.jpg": ((), _save("MPO", save_all=True, append_images=[draw(9998)])),
    "adobe-cmyk.jpg": (("cmyk",), _save("JPEG", "CMYK")),
    "plain-cmyk.jpg": (("cmyk",), lambda number: _without_adobe(_save("JPEG", "CMYK")(number))),
    "ycck.jpg": (("cmyk",), _make_ycck),
    "cmyk-profile.jpg": (("cmyk",), _save("JPEG", "CMYK", icc_profile=PROFILE)),
    "cmyk.tif": (("cmyk",), _save("TIFF", "CMYK")),
    "gray.jpg": ((), _save("JPEG", "L")),
    "progressive.jpg": ((), _save("JPEG", progressive=True)),
    "100-scans.jpg": ((), lambda number: make_scans(number, 100)),
    "palette.png": (("palette",), _save("PNG", "P")),
    "clear-palette.png": (("palette", "alpha"), _make_clear_palette),
    "rgba.png": (("alpha",), _save("PNG", "RGBA")),
    "gray-alpha.png": (("alpha",), _make_gray_alpha),
    "1-bit.png": ((), _save("PNG", "1")),
    "16-bit.png": (("16-bit",), lambda number: encode(make_deep(number, 16), "PNG")),
    "16-bit.tif": (("16-bit",), lambda number: encode(make_deep(number, 16), "TIFF")),
    "12-bit.png": (("16-bit",), lambda number: encode(make_deep(number, 12), "PNG")),
    "12-bit.tif": (("16-bit",), _make_twelve_bits),
    "16-bit-colors.png": (("16-bit",), lambda number: _make_deep_colors(number, COLOR)),
    "16-bit-alpha.png": (("alpha", "16-bit"), lambda number: _make_deep_colors(number, COLOR_ALPHA)),
    "orientation-1.jpg": ((), _rotate(1)),
    **{f"orientation-{value}.jpg": (("rotated",), _rotate(value)) for value in range(2, 9)},
    "orientation-9.jpg": ((), _rotate(9)),
    "cut-exif.jpg": ((), lambda number: _with_exif(number, b"II*\0\xff\xff\xff\xff")),
    "wild-exif.jpg": ((), lambda number: _with_exif(number, b"\x93\xfa\0\1" * 99)),
    "phone.jpg": (("rotated",), lambda number: encode(draw(number), "JPEG", exif=make_exif(6, 60_000))),
    "wide-gamut.jpg": ((), _save("JPEG", icc_profile=PROFILE)),
    "comments.jpg": ((), _with_comments),
    "garbage-at-end.jpg": ((), lambda number: encode(draw(number), "JPEG") + b"\xff\xd8garbage" * 999),
    "black.png": (("black",), _fill((3, 3, 3))),
    "white.png": (("white",), _fill((252, 252, 252))),
    "one-color.png": (("flat",), _fill((20, 120, 220))),
    "1x1.png": (("flat", "tiny"), lambda number: encode(Image.new("RGB", (1, 1), (90, 90, number)), "PNG")),
    "narrow.png": (("tiny",), lambda number: encode(draw(number, (1, 1000)), "PNG")),
    "1-bit.bmp": ((), _save("BMP", "1")),
    "palette.bmp": (("palette",), _save("BMP", "P")),
    "32-bit.bmp": ((), _save("BMP", "RGBA")),
    "top-down.bmp": ((), _turn_over),
    "run-length.bmp": (("palette",), _make_run_lengths),
    "photo.jfif": ((), _save("JPEG")),
    "photo.jpe": ((), _save("JPEG")),
    "PHOTO.JPG": ((), _save("JPEG")),
}  # fmt: skip
if features.check("avif"):
    ODD_IMAGES["photo.avif"] = ((), _save("AVIF"))
    ODD_IMAGES["animated.avif"] = (("animated",), _save("AVIF", save_all=True, append_images=[draw(9997)]))
