"""Files that are no readable images, by name: how the reason begins that zoo reports, and how to make the file.

Each function takes a number and returns the content of a file.
"""

from __future__ import annotations

import struct
import zlib

import numpy as np

from made_images import LAB, encode, make_tiff
from odd_images import HEIGHT, WIDTH, Make, draw, make_scans

_FTYP = b"\0\0\0\x18ftyp"
_NO_IMAGE = "not an image in a supported format"
_DAMAGED = "damaged or truncated ("
_UNDEFINED = "32-bit or signed values without a defined white level"


def _cut(kind: str, part: float) -> Make:
    def make(number: int) -> bytes:
        data = encode(draw(number), kind)
        return data[: int(part * len(data))]

    return make


def _resize_png(width: int, height: int) -> Make:
    """Make a PNG whose header states another size."""

    def make(number: int) -> bytes:
        data = bytearray(encode(draw(number), "PNG"))
        struct.pack_into(">II", data, 16, width, height)
        struct.pack_into(">I", data, 29, zlib.crc32(data[12:29]))
        return bytes(data)

    return make


def _damage_png(place: int) -> Make:
    """Make a PNG with a wrong checksum: a bit at this place is flipped."""

    def make(number: int) -> bytes:
        data = bytearray(encode(draw(number), "PNG"))
        data[place] ^= 1
        return bytes(data)

    return make


def _drop_strips(number: int) -> bytes:
    """Make an uncompressed TIFF with a strip per row, and a header that states more rows."""
    data = bytearray(encode(draw(number), "TIFF", tiffinfo={278: 1}))
    directory = struct.unpack_from("<I", data, 4)[0]
    place = data.index(struct.pack("<HHI", 257, 4, 1), directory)
    struct.pack_into("<I", data, place + 8, HEIGHT + 8)
    return bytes(data)


def _hold(content: bytes) -> Make:
    return lambda _number: content


#: How the reason begins, and how to make the file. The names of these files promise an image.
BAD_FILES: dict[str, tuple[str, Make]] = {
    "empty.jpg": ("the file is empty", _hold(b"")),
    "byte.jpg": (_NO_IMAGE, _hold(b"\xff")),
    "zeros.jpg": ("a file that contains only zeros", _hold(bytes(5000))),
    "noise.jpg": (_NO_IMAGE, lambda number: np.random.default_rng(number).bytes(5000)),
    "text.jpg": ("a text file", _hold(b"I am a photo.\n")),
    "error.jpg": ("a text file", _hold(b'{"error": "too many requests"}')),
    "page.jpg": ("an HTML page", _hold(b"<!DOCTYPE html>\n<title>Not found</title>")),
    "drawing.png": ("an SVG drawing", _hold(b'<?xml version="1.0"?><svg width="1"/>')),
    "pointer.jpg": ("a Git LFS pointer", _hold(b"version https://git-lfs.github.com/spec/v1\noid sha256:0")),
    "document.jpg": ("a PDF document", _hold(b"%PDF-1.7\n" + bytes(99))),
    "layers.jpg": ("a Photoshop file", _hold(b"8BPS\0\1" + bytes(99))),
    "archive.jpg": ("a ZIP archive", _hold(b"PK\3\4" + bytes(99))),
    "icon.png": ("an icon", lambda number: encode(draw(number), "ICO", sizes=[(16, 16)])),
    "film.jpg": ("a video", _hold(_FTYP + b"isom\0\0\2\0isomiso2" + bytes(99))),
    "movie.jpg": ("a video", _hold(b"\x1aE\xdf\xa3" + bytes(99))),
    "jpeg2000.jpg": ("a JPEG 2000 image", _hold(b"\0\0\0\x0cjP  \r\n\x87\n" + bytes(99))),
    "jpegxl.jpg": ("a JPEG XL image", _hold(b"\0\0\0\x0cJXL \r\n\x87\n" + bytes(99))),
    "phone.heic": ("a HEIC image; to read it, run `pip install", _hold(_FTYP + b"heic\0\0\0\0mif1heic" + bytes(99))),
    "header.jpg": (_DAMAGED, _hold(b"\xff\xd8\xff\xe0\x00\x10JFIF\x00\x01\x01")),
    "half.jpg": (_DAMAGED, _cut("JPEG", 0.5)),
    "no-end.jpg": (_DAMAGED, lambda number: encode(draw(number), "JPEG")[:-2]),
    "400-scans.jpg": ("it has 400 scans", lambda number: make_scans(number, 400)),
    "header.png": ("a damaged PNG", lambda number: encode(draw(number), "PNG")[:40]),
    "half.png": (_DAMAGED, _cut("PNG", 0.5)),
    "no-end.png": (_DAMAGED, lambda number: encode(draw(number), "PNG")[:-12]),
    "header-checksum.png": ("a damaged PNG", _damage_png(30)),
    "data-checksum.png": (_DAMAGED, _damage_png(200)),
    "too-high.png": (_DAMAGED, _resize_png(WIDTH, HEIGHT + 40)),
    "too-wide.png": (_DAMAGED, _resize_png(WIDTH + 40, HEIGHT)),
    "no-width.png": ("a damaged PNG", _resize_png(0, HEIGHT)),
    "bomb.png": ("it has 900,000,000 pixels", _resize_png(30_000, 30_000)),
    "half.webp": (_DAMAGED, _cut("WEBP", 0.5)),
    "half.gif": (_DAMAGED, _cut("GIF", 0.5)),
    "half.bmp": (_DAMAGED, _cut("BMP", 0.5)),
    "half.tif": (_DAMAGED, _cut("TIFF", 0.5)),
    "too-high.tif": (_DAMAGED, _drop_strips),
    "float.tif": (_UNDEFINED, lambda number: encode(draw(number).convert("F"), "TIFF")),
    "32-bit.tif": (_UNDEFINED, lambda number: encode(draw(number).convert("I"), "TIFF")),
    "double.tif": ("a damaged TIFF or one with values", lambda _: make_tiff(1, bytes(8), bits=(64,), tags={339: 3})),
    "lab.tif": ("Lab colors", lambda _: make_tiff(1, b"\xc8\0\0", bits=(8, 8, 8), photometric=LAB)),
}  # fmt: skip
_PHOTO: Make = lambda number: encode(draw(number), "PNG")  # noqa: E731  # it is a value like the others
#: Files whose names say that they are no images in a supported format, whatever they contain.
UNSUPPORTED: dict[str, tuple[str, Make]] = {
    "no-suffix": ("unsupported file type (no suffix)", _PHOTO),
    **{
        name: (f"unsupported file type {name[name.rindex('.') :]}", _PHOTO)
        for name in ("photo.jpg.txt", "photo.jp2", "drawing.svg", "favicon.ico", "layers.psd", "document.pdf",
                     "film.mp4", "raw.dng", "photo.png~", "photo.jpg.part", "archive.zip")
    },
    "._photo.jpg": ("hidden file", _PHOTO),
    ".hidden.png": ("hidden file", _PHOTO),
}  # fmt: skip
#: Files that operating systems and tools add. zoo neither uses nor reports them.
LITTER = (".DS_Store", "Thumbs.db", "desktop.ini", ".gitignore", "._.DS_Store")
