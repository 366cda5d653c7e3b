"""Pixels of every kind of image, compared with values that were computed by hand."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence

import numpy as np
import pytest
import torch
from PIL import Image, features

from made_images import (
    CMYK,
    COLOR,
    COLOR_ALPHA,
    GRAY,
    GRAY_ALPHA,
    LAB,
    PALETTE,
    RGB,
    WHITE_IS_ZERO,
    encode,
    make_png,
    make_tiff,
)
from odd_images import PROFILE
from zoo.data import decode as image_module
from zoo.data.decode import decode_image
from zoo.errors import DataError

WHITE, BLACK, RED = [255, 255, 255], [0, 0, 0], [255, 0, 0]
ORIENTATION = 0x112


def gray(*values: int) -> list[list[int]]:
    return [[value] * 3 for value in values]


def trns(*values: int) -> tuple[tuple[bytes, bytes], ...]:
    return ((b"tRNS", struct.pack(f">{len(values)}H", *values)),)


def words(*values: int, order: str = ">") -> bytes:
    return struct.pack(f"{order}{len(values)}H", *values)


def tiff(order: str, bits: Sequence[int], data: bytes, photometric: int = RGB, **tags: int) -> bytes:
    known = {"extra": 338, "compression": 259}
    width = len(data) * 8 // sum(bits)
    packed = zlib.compress(data) if tags.get("compression") == 8 else data
    fields = {known[name]: value for name, value in tags.items()}
    return make_tiff(width, packed, bits=bits, photometric=photometric, order=order, tags=fields)


PNGS = {
    "1 bit": (make_png(4, [b"\x50"], 1, GRAY), gray(0, 255, 0, 255)),
    "1 bit, white transparent": (make_png(4, [b"\x50"], 1, GRAY, chunks=trns(1)), gray(0, 255, 0, 255)),
    "1 bit, black transparent": (make_png(4, [b"\x50"], 1, GRAY, chunks=trns(0)), gray(255, 255, 255, 255)),
    "2 bits": (make_png(4, [b"\x1b"], 2, GRAY), gray(0, 85, 170, 255)),
    "2 bits, one value transparent": (make_png(4, [b"\x1b"], 2, GRAY, chunks=trns(2)), gray(0, 85, 255, 255)),
    "4 bits, one value transparent": (make_png(2, [b"\x12"], 4, GRAY, chunks=trns(1)), gray(255, 34)),
    "8 bits, one value transparent": (make_png(2, [b"\1\2"], 8, GRAY, chunks=trns(1)), gray(255, 2)),
    "16 bits": (make_png(3, [words(0, 0x1234, 0xFFFF)], 16, GRAY), gray(0, 0x12, 255)),
    "16 bits, one value transparent": (make_png(2, [words(0x1234, 0x1235)], 16, GRAY, chunks=trns(0x1234)),
                                       gray(255, 0x12)),
    "colors": (make_png(1, [b"\1\2\3"], 8, COLOR), [[1, 2, 3]]),
    "colors, one transparent": (make_png(2, [b"\1\2\3\1\2\4"], 8, COLOR, chunks=trns(1, 2, 3)), [WHITE, [1, 2, 4]]),
    "16-bit colors": (make_png(1, [words(0x1234, 0x5678, 0x9ABC)], 16, COLOR), [[0x12, 0x56, 0x9A]]),
    "16-bit colors, one transparent": (make_png(2, [words(0x1234, 0, 0, 0x1235, 0, 0)], 16, COLOR,
                                                chunks=trns(0x1234, 0, 0)), [WHITE, [0x12, 0, 0]]),
    "palette": (make_png(2, [b"\x40"], 1, PALETTE, chunks=[(b"PLTE", bytes([9, 8, 7, 1, 2, 3]))]),
                [[9, 8, 7], [1, 2, 3]]),
    "palette, half transparent": (make_png(2, [b"\x40"], 1, PALETTE, chunks=[
        (b"PLTE", bytes([255, 0, 0, 0, 0, 0])), (b"tRNS", b"\x80\xff")]), [[255, 127, 127], BLACK]),
    "gray with alpha": (make_png(2, [b"\0\x80\x32\xff"], 8, GRAY_ALPHA), gray(127, 50)),
    "16-bit gray with alpha": (make_png(2, [words(0, 0, 0x1234, 0xFFFF)], 16, GRAY_ALPHA), gray(255, 0x12)),
    "colors with alpha": (make_png(2, [b"\xff\0\0\x80\1\2\3\xff"], 8, COLOR_ALPHA), [[255, 127, 127], [1, 2, 3]]),
    "16-bit colors with alpha": (make_png(1, [words(0xFFFF, 0, 0, 0x8000)], 16, COLOR_ALPHA), [[255, 127, 127]]),
}  # fmt: skip


@pytest.mark.parametrize("kind", PNGS)
def test_pngs_of_every_kind_have_the_expected_pixels(kind: str) -> None:
    data, expected = PNGS[kind]
    check(data, expected)


def check(data: bytes, expected: list[list[int]]) -> None:
    pixels = decode_image(data)
    assert pixels.dtype == torch.uint8
    assert (pixels[:, 0].T.int() - torch.tensor(expected).int()).abs().max() <= 1


TIFFS = {
    "1 bit": ((1,), b"\x55", 1, {}, gray(0, 255, 0, 255, 0, 255, 0, 255)),
    "1 bit, white is zero": ((1,), b"\x55", WHITE_IS_ZERO, {}, gray(255, 0, 255, 0, 255, 0, 255, 0)),
    "4 bits": ((4,), b"\x5f", 1, {}, gray(85, 255)),
    "8 bits, white is zero": ((8,), b"\0\xfe", WHITE_IS_ZERO, {}, gray(255, 1)),
    "gray with alpha": ((8, 8), b"\0\0\x64\xff", 1, {"extra": 2}, gray(255, 100)),
    "colors with alpha": ((8,) * 4, b"\xff\0\0\x80", RGB, {"extra": 2}, [[255, 127, 127]]),
    "premultiplied colors": ((8,) * 4, b"\x80\0\0\x80", RGB, {"extra": 1}, [[255, 127, 127]]),
    "colors with an unused channel": ((8,) * 4, b"\xff\0\0\x80", RGB, {"extra": 0}, [RED]),
    "CMYK": ((8,) * 4, b"\0\0\0\0\0\xff\xff\x33", CMYK, {}, [WHITE, [204, 0, 0]]),
}


@pytest.mark.parametrize("order", ["<", ">"], ids=["little", "big"])
@pytest.mark.parametrize("kind", TIFFS)
def test_tiffs_of_every_kind_have_the_expected_pixels(kind: str, order: str) -> None:
    bits, data, photometric, tags, expected = TIFFS[kind]
    check(tiff(order, bits, data, photometric, **tags), expected)


DEEP_TIFFS = {
    "gray": ((16,), (0, 0x1234, 0xFFFF), 1, {}, gray(0, 0x12, 255)),
    "colors": ((16,) * 3, (0x1234, 0x5678, 0x9ABC), RGB, {}, [[0x12, 0x56, 0x9A]]),
    "colors with alpha": ((16,) * 4, (0xFFFF, 0, 0, 0x8000), RGB, {"extra": 2}, [[255, 127, 127]]),
    "premultiplied colors": ((16,) * 4, (0x8000, 0, 0, 0x8000), RGB, {"extra": 1}, [[255, 127, 127]]),
    "CMYK": ((16,) * 4, (0, 0xFFFF, 0xFFFF, 0x3333), CMYK, {}, [[204, 0, 0]]),
}


@pytest.mark.parametrize("compression", [1, 8], ids=["plain", "deflate"])
@pytest.mark.parametrize("order", ["<", ">"], ids=["little", "big"])
@pytest.mark.parametrize("kind", DEEP_TIFFS)
def test_sixteen_bit_tiffs_of_both_byte_orders_have_the_expected_pixels(
    kind: str, order: str, compression: int
) -> None:
    bits, values, photometric, tags, expected = DEEP_TIFFS[kind]
    data = tiff(order, bits, words(*values, order=order), photometric, compression=compression, **tags)
    check(data, expected)


def test_a_sixteen_bit_tiff_in_which_white_is_zero_is_inverted() -> None:
    check(tiff("<", (16,), words(0, 0x1234, 0xFFFF, order="<"), WHITE_IS_ZERO), gray(255, 0xED, 0))


def test_a_tiff_of_twelve_bits_has_the_expected_pixels() -> None:
    check(tiff("<", (12,), bytes([0x12, 0x3F, 0xFF]), 1), gray(0x12, 255))  # The values are 0x123 and 0xfff.


UNDEFINED = {
    "float": ((32,), struct.pack("<f", 0.5), {339: 3}, "32-bit or signed values without a defined white level"),
    "signed": ((16,), struct.pack("<h", 5), {339: 2}, "32-bit or signed values without a defined white level"),
    "double": ((64,), struct.pack("<d", 0.5), {339: 3}, "a damaged TIFF or one with values of an unusual type"),
    "10 bits": ((10,), bytes(5), {}, "a damaged TIFF or one with values of an unusual type"),
}


@pytest.mark.parametrize("kind", UNDEFINED)
def test_tiffs_without_a_defined_white_level_are_an_error(kind: str) -> None:
    bits, data, tags, reason = UNDEFINED[kind]
    with pytest.raises(DataError, match=reason):
        decode_image(make_tiff(1, data, bits=bits, tags=tags))


def test_lab_colors_are_an_error() -> None:
    with pytest.raises(DataError, match="Lab colors; convert the image to RGB"):
        decode_image(tiff("<", (8, 8, 8), b"\xc8\0\0", LAB))


@pytest.mark.parametrize("turbo", [True, False])
@pytest.mark.parametrize("transform", [0, 2], ids=["CMYK", "YCCK"])
def test_the_inverted_colors_of_adobe_jpegs_have_the_expected_pixels(
    monkeypatch: pytest.MonkeyPatch, *, transform: int, turbo: bool
) -> None:
    if not turbo:
        monkeypatch.setattr(image_module, "_TURBO", None)
    # Red with a fifth of black: the inks are 0, 255, 255 and 51, and Adobe stores 255, 0, 0 and 204. In YCCK, the first
    # three are the inverse of the colors 0, 255 and 255, which have Y 179, Cb 171 and Cr 1.
    stored = (255, 0, 0, 204) if transform == 0 else (179, 171, 1, 204)
    ink = tuple(255 - value for value in stored)  # Pillow stores the inverse.
    data = bytearray(encode(Image.new("CMYK", (16, 16), ink), "JPEG", quality=100, subsampling=0))
    data[data.index(b"Adobe") + 11] = transform
    pixels = decode_image(bytes(data))
    assert (pixels.int() - torch.tensor([204, 0, 0])[:, None, None]).abs().max() <= 1


#: The upright image: red, green on top; blue, white below. Each place is given by row and column.
QUARTERS = {(0, 0): RED, (0, 1): [0, 255, 0], (1, 0): [0, 0, 255], (1, 1): WHITE}
#: Where the top left, the top right, the bottom left and the bottom right of the upright image are stored, by
#: orientation, from the table in the EXIF standard.
STORED = {
    1: ((0, 0), (0, 1), (1, 0), (1, 1)),
    2: ((0, 1), (0, 0), (1, 1), (1, 0)),
    3: ((1, 1), (1, 0), (0, 1), (0, 0)),
    4: ((1, 0), (1, 1), (0, 0), (0, 1)),
    5: ((0, 0), (1, 0), (0, 1), (1, 1)),
    6: ((1, 0), (0, 0), (1, 1), (0, 1)),
    7: ((1, 1), (0, 1), (1, 0), (0, 0)),
    8: ((0, 1), (1, 1), (0, 0), (1, 0)),
}
AVIF = ["AVIF"] if features.check("avif") else []
LOSSLESS = {
    "AVIF": {"quality": 100, "subsampling": "4:4:4"},
    "WEBP": {"lossless": True},
    "JPEG": {"quality": 100, "subsampling": 0},
}


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "16-bit PNG", "16-bit TIFF", *AVIF])
@pytest.mark.parametrize("value", STORED)
def test_every_orientation_is_undone_as_the_exif_standard_says(kind: str, value: int) -> None:
    side = 16
    stored = np.zeros((2 * side, 2 * side, 3), np.uint8)
    for color, (row, column) in zip(QUARTERS.values(), STORED[value], strict=True):
        stored[row * side : (row + 1) * side, column * side : (column + 1) * side] = color
    image = Image.fromarray(stored)
    if kind.startswith("16-bit"):  # Pillow writes 16 bits of gray only.
        image = Image.fromarray(np.asarray(image.convert("L")).astype(np.uint16) * 257)
    exif = Image.Exif()
    exif[ORIENTATION] = value
    name = kind.removeprefix("16-bit ")
    pixels = decode_image(encode(image, name, exif=exif, **LOSSLESS.get(name, {})))
    for (row, column), color in QUARTERS.items():
        expected = Image.new("RGB", (1, 1), tuple(color))
        wanted = torch.tensor(np.array(expected.convert("L").convert("RGB") if "16" in kind else expected)[0, 0])
        found = pixels[:, row * side + side // 2, column * side + side // 2]
        assert (found.int() - wanted.int()).abs().max() <= 2, (row, column)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "CMYK JPEG", "CMYK TIFF"])
def test_color_profiles_are_not_applied(kind: str) -> None:
    mode, kind = ("CMYK", kind[5:]) if kind.startswith("CMYK") else ("RGB", kind)
    image = Image.new(mode, (8, 8), (200, 100, 50, 0)[: len(mode)])
    plain, profiled = encode(image, kind), encode(image, kind, icc_profile=PROFILE)
    assert len(profiled) > len(plain)
    assert torch.equal(decode_image(profiled), decode_image(plain))


@pytest.mark.skipif(not features.check("avif"), reason="this Pillow does not read AVIF")
def test_avif_is_read() -> None:
    data = encode(Image.new("RGB", (16, 16), (200, 100, 50)), "AVIF", quality=100)
    assert (decode_image(data).int() - torch.tensor([200, 100, 50])[:, None, None]).abs().max() <= 2


def test_heic_is_read_and_rotated() -> None:
    pillow_heif = pytest.importorskip("pillow_heif")
    pillow_heif.register_heif_opener()
    upright = Image.new("RGB", (64, 32), (200, 100, 50))
    upright.paste((50, 100, 200), (32, 0, 64, 32))
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    data = encode(upright.transpose(Image.Transpose.ROTATE_90), "HEIF", quality=100, exif=exif.tobytes())
    pixels = decode_image(data)
    assert pixels.shape == (3, 32, 64)
    assert (pixels[:, 16, 8].int() - torch.tensor([200, 100, 50])).abs().max() <= 4
    assert (pixels[:, 16, 56].int() - torch.tensor([50, 100, 200])).abs().max() <= 4
