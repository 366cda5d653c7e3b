"""PNG and TIFF files written byte by byte, with values that Pillow cannot write."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Sequence

from PIL import Image

#: Color types of PNG.
GRAY, COLOR, PALETTE, GRAY_ALPHA, COLOR_ALPHA = 0, 2, 3, 4, 6
#: Photometric interpretations of TIFF.
WHITE_IS_ZERO, BLACK_IS_ZERO, RGB, CMYK, LAB = 0, 1, 2, 5, 8


def encode(image: Image.Image, kind: str, **options: object) -> bytes:
    """Return the content of an image file that Pillow writes."""
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def make_png(
    width: int, rows: Sequence[bytes], depth: int, color: int, *, chunks: Sequence[tuple[bytes, bytes]] = ()
) -> bytes:
    """Make a PNG from the bytes of its rows."""
    header = struct.pack(">IIBBBBB", width, len(rows), depth, color, 0, 0, 0)
    data = zlib.compress(b"".join(b"\0" + row for row in rows))
    everything = ((b"IHDR", header), *chunks, (b"IDAT", data), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_make_chunk(*chunk) for chunk in everything)


def make_tiff(  # the fields of the format
    width: int,
    data: bytes,
    *,
    bits: Sequence[int] = (16,),
    photometric: int = BLACK_IS_ZERO,
    order: str = "<",
    tags: dict[int, int] | None = None,
) -> bytes:
    """Make an uncompressed TIFF of one row; the data has the byte order of the file."""
    entries = {256: width, 257: 1, 259: 1, 262: photometric, 273: 8, 277: len(bits), 278: 1, 279: len(data)}
    entries.update(tags or {})
    offset = 8 + len(data)
    entries[258] = bits[0] if len(bits) == 1 else offset
    after = b"" if len(bits) == 1 else struct.pack(f"{order}{len(bits)}H", *bits)
    fields = b""
    for tag, value in sorted(entries.items()):
        many = tag == 258 and len(bits) > 1
        fields += struct.pack(f"{order}HHI", tag, 3 if many else 4, len(bits) if many else 1)
        fields += struct.pack(f"{order}HH", *bits) if many and len(bits) == 2 else struct.pack(f"{order}I", value)
    mark = b"II*\0" if order == "<" else b"MM\0*"
    directory = struct.pack(f"{order}H", len(entries)) + fields + bytes(4)
    return mark + struct.pack(f"{order}I", offset + len(after)) + data + after + directory


def _make_chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
