"""Pixels of every kind of BMP, compared with values that were computed by hand."""

from __future__ import annotations

import struct

import pytest

from zoo.data.decode import decode_image


def bmp(height: int, bits: int, data: bytes, *, compression: int = 0, palette: bytes = b"") -> bytes:
    start = 54 + len(palette)
    header = struct.pack("<2sIIIIiiHHIIiiII", b"BM", start + len(data), 0, start, 40, 2, height, 1, bits, compression,
                         len(data), 0, 0, len(palette) // 4, 0)  # fmt: skip
    return header + palette + data


#: A BMP stores blue, green and red, and usually the last row first. Rows are padded to four bytes.
BOTTOM, TOP = b"\0\0\xff\xff\xff\xff\0\0", b"\3\2\1\0\0\0\0\0"
FOUR_COLORS = b"\3\2\1\0" + bytes(4) + b"\0\0\xff\0" + b"\xff\xff\xff\0"
BMPS = {
    "bottom-up": bmp(2, 24, BOTTOM + TOP),
    "top-down": bmp(-2, 24, TOP + BOTTOM),
    "32 bits": bmp(2, 32, b"\0\0\xff\0\xff\xff\xff\0" + b"\3\2\1\0" + bytes(4)),
    "palette": bmp(2, 8, b"\2\3\0\0\0\1\0\0", palette=FOUR_COLORS),
    "4 bits": bmp(2, 4, b"\x23\0\0\0\x01\0\0\0", palette=FOUR_COLORS),
    "run-length": bmp(2, 8, b"\1\2\1\3\0\0\1\0\1\1\0\0\0\1", compression=1, palette=FOUR_COLORS),
}


@pytest.mark.parametrize("kind", BMPS)
def test_bmps_of_every_kind_have_the_expected_pixels(kind: str) -> None:
    pixels = decode_image(BMPS[kind])
    assert pixels.permute(1, 2, 0).tolist() == [[[1, 2, 3], [0, 0, 0]], [[255, 0, 0], [255, 255, 255]]]
