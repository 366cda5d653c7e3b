"""PNGs and TIFFs with missing rows are an error, and complete ones are not."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator, Sequence

import numpy as np
import pytest
from PIL import Image

from made_images import COLOR, COLOR_ALPHA, GRAY, GRAY_ALPHA, PALETTE, encode, make_png
from zoo.data import complete
from zoo.data.complete import check_png
from zoo.data.decode import decode_image
from zoo.errors import DataError

#: First column and row of each pass of an interlaced PNG, and the distances to the next, from the PNG specification.
ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
#: Color type and bits per value.
TYPES = [(GRAY, 1), (GRAY, 2), (GRAY, 4), (GRAY, 8), (GRAY, 16), (COLOR, 8), (COLOR, 16), (PALETTE, 1), (PALETTE, 4),
         (PALETTE, 8), (GRAY_ALPHA, 8), (GRAY_ALPHA, 16), (COLOR_ALPHA, 8), (COLOR_ALPHA, 16)]  # fmt: skip
CHANNELS = {GRAY: 1, COLOR: 3, PALETTE: 1, GRAY_ALPHA: 2, COLOR_ALPHA: 4}
COLORS = ((b"PLTE", bytes(range(3)) * 256),)


def list_rows(width: int, height: int, bits: int, *, interlaced: bool, value: int = 0) -> list[bytes]:
    """Return rows of equal bytes, in the order in which a PNG stores them."""
    passes = ADAM7 if interlaced else ((0, 0, 1, 1),)
    rows = []
    for left, top, across, down in passes:
        if columns := len(range(left, width, across)):
            rows += [bytes([value]) * ((columns * bits + 7) // 8)] * len(range(top, height, down))
    return rows


def make_short(
    size: tuple[int, int], kind: tuple[int, int], *, interlaced: bool, missing: int = 0, value: int = 0
) -> bytes:
    """Make a PNG without its last ``missing`` rows."""
    color, depth = kind
    rows = list_rows(*size, CHANNELS[color] * depth, interlaced=interlaced, value=value)
    data = bytearray(make_png(size[0], rows[: len(rows) - missing], depth, color, chunks=COLORS))
    struct.pack_into(">I", data, 20, size[1])
    data[28] = interlaced
    struct.pack_into(">I", data, 29, zlib.crc32(data[12:29]))
    return bytes(data)


@pytest.mark.parametrize("interlaced", [False, True])
@pytest.mark.parametrize("kind", TYPES)
def test_every_missing_row_of_a_png_is_an_error(kind: tuple[int, int], *, interlaced: bool) -> None:
    for size in ((1, 1), (1, 9), (9, 1), (2, 3), (5, 5), (17, 8), (33, 30)):
        assert decode_image(make_short(size, kind, interlaced=interlaced)).shape == (3, size[1], size[0])
        with pytest.raises(DataError, match="damaged or truncated"):  # Pillow refuses an image without any row.
            decode_image(make_short(size, kind, interlaced=interlaced, missing=1))


@pytest.mark.parametrize("size", [(9, 1), (9, 9)])
def test_missing_rows_between_others_are_an_error(size: tuple[int, int]) -> None:
    # The last pass of an interlaced image fills in rows or columns above and left of the last ones.
    assert decode_image(make_short(size, (GRAY, 8), interlaced=True, value=255)).min() == 255
    with pytest.raises(DataError, match="the last rows are missing"):
        decode_image(make_short(size, (GRAY, 8), interlaced=True, missing=1, value=255))


def test_a_large_png_is_counted_in_pieces_of_limited_size() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (1200, 1000), dtype=np.uint8)
    noise[1100:] = 0
    data = encode(Image.fromarray(noise), "PNG")
    assert len(data) > complete._OUTPUT
    assert decode_image(data).shape == (3, 1200, 1000)
    short = bytearray(data)
    struct.pack_into(">I", short, 20, 1201)
    struct.pack_into(">I", short, 29, zlib.crc32(short[12:29]))
    with pytest.raises(DataError, match="the last rows are missing"):
        decode_image(bytes(short))


def test_an_image_whose_last_row_is_not_black_is_not_decompressed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_bodies: Iterator[bytes], _enough: int) -> int:
        raise AssertionError

    monkeypatch.setattr(complete, "_count_bytes", refuse)
    data = encode(Image.new("RGB", (4, 4), (0, 0, 1)), "PNG")
    with Image.open(io.BytesIO(data)) as image:
        image.load()
        check_png(image, data)


def split_chunks(data: bytes, size: int) -> bytes:
    """Divide the content of a PNG into chunks of this size, with empty ones between them."""
    start = data.index(b"IDAT") - 4
    end = start + 8 + int.from_bytes(data[start : start + 4])
    body = data[start + 8 : end]
    pieces = [piece for at in range(0, len(body), size) for piece in (body[at : at + size], b"")]
    chunks = (struct.pack(">I", len(p)) + b"IDAT" + p + struct.pack(">I", zlib.crc32(b"IDAT" + p)) for p in pieces)
    return data[:start] + b"".join(chunks) + data[end + 4 :]


@pytest.mark.parametrize("missing", [0, 1])
def test_the_content_may_be_divided_into_many_chunks(missing: int) -> None:
    data = split_chunks(make_short((33, 30), (COLOR, 8), interlaced=False, missing=missing), 3)
    if missing:
        with pytest.raises(DataError, match="damaged or truncated"):
            decode_image(data)
    else:
        assert decode_image(data).shape == (3, 30, 33)


@pytest.mark.parametrize("frames", [1, 2])
def test_a_png_without_its_end_is_an_error(frames: int) -> None:
    white = Image.new("L", (8, 8), 255)
    data = encode(white, "PNG", **({"save_all": True, "append_images": [white.rotate(1)]} if frames > 1 else {}))
    with pytest.raises(DataError, match="the end of the PNG is missing"):
        decode_image(data[:-12])
    assert decode_image(data + b"more").shape == (3, 8, 8)


def make_strips(height: int, rows: Sequence[bytes]) -> bytes:
    """Make an uncompressed TIFF with one strip per row, and a header that states any height."""
    image = Image.new("L", (len(rows[0]), len(rows)), 255)
    data = bytearray(encode(image, "TIFF", tiffinfo={278: 1}))
    directory = struct.unpack_from("<I", data, 4)[0]
    for place in range(directory + 2, directory + 2 + 12 * struct.unpack_from("<H", data, directory)[0], 12):
        if struct.unpack_from("<H", data, place)[0] == 257:
            struct.pack_into("<HHII", data, place, 257, 4, 1, height)
    return bytes(data)


def test_a_tiff_whose_strips_do_not_reach_its_end_is_an_error() -> None:
    rows = [b"\xff" * 4] * 4
    assert decode_image(make_strips(4, rows)).shape == (3, 4, 4)
    with pytest.raises(DataError, match="the last rows are missing"):
        decode_image(make_strips(5, rows))
