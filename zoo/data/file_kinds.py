"""What a file contains, by its first bytes: its name may say something else."""

from __future__ import annotations

import codecs
from importlib.util import find_spec

from PIL import features

#: Beginnings of files that are often found among images, and what to call them. An image in a supported format is only
#: looked up here if its header is damaged, or if it is of a kind that Pillow cannot read.
_KINDS = (
    (b"\x89PNG", "a damaged PNG"),
    (b"\xff\xd8\xff", "a damaged JPEG or one of an unusual type"),
    (b"GIF8", "a damaged GIF"),
    (b"II*\0", "a damaged TIFF or one with values of an unusual type"),
    (b"MM\0*", "a damaged TIFF or one with values of an unusual type"),
    (b"%PDF", "a PDF document"),
    (b"8BPS", "a Photoshop file"),
    (b"PK\3\4", "a ZIP archive"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"Rar!", "a RAR archive"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
    (b"\0\0\0\x0cjP", "a JPEG 2000 image"),
    (b"\0\0\0\x0cJXL", "a JPEG XL image"),
    (b"\xff\x0a", "a JPEG XL image"),
    (b"\0\0\1\0", "an icon"),
    (b"\x1aE\xdf\xa3", "a video"),
    (b"version https://git-lfs", "a Git LFS pointer, which `git lfs pull` replaces with the file"),
)
_HEIC_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx")
_AVIF_BRANDS = (b"avif", b"avis")
#: Number of bytes that are searched for tags, and required to be text.
_START = 1024


def is_heic(data: bytes) -> bool:
    """Return whether a file is a HEIC image, whatever its name is."""
    return _has_brand(data, _HEIC_BRANDS) and not is_avif(data)


def is_avif(data: bytes) -> bool:
    """Return whether a file is an AVIF image, whatever its name is."""
    return _has_brand(data, _AVIF_BRANDS)


def explain_unidentified(data: bytes) -> str:
    """Return why Pillow does not recognize a file, as a clause without a period."""
    if is_heic(data) and not reads_heic():
        return 'a HEIC image; to read it, run `pip install "zoo-backbones[heif]"`'
    if is_avif(data) and not reads_avif():
        return "an AVIF image, which the installed Pillow cannot read; to read it, run `pip install -U pillow`"
    kind = _find_kind(data)
    return f"{kind}, not an image in a supported format" if kind else "not an image in a supported format"


def reads_heic() -> bool:
    """Return whether pillow-heif is installed, which reads HEIC."""
    return find_spec("pillow_heif") is not None


def reads_avif() -> bool:
    """Return whether the installed Pillow reads AVIF. Pillow does so since 11.3, if it was built with libavif."""
    return "avif" in features.modules and bool(features.check("avif"))


def _has_brand(data: bytes, brands: tuple[bytes, ...]) -> bool:
    """Return whether a file in the ISO base media format declares one of the brands."""
    if data[4:8] != b"ftyp":
        return False
    box = data[: int.from_bytes(data[:4])]
    found = {box[place : place + 4] for place in (8, *range(16, min(len(box), _START), 4))}
    return not found.isdisjoint(brands)


def _find_kind(data: bytes) -> str | None:
    kind = next((kind for start, kind in _KINDS if data.startswith(start)), None)
    if kind or not any(data):
        return kind or "a file that contains only zeros"
    return _find_container(data) or _find_text(data) or ("a damaged BMP" if data.startswith(b"BM") else None)


def _find_container(data: bytes) -> str | None:
    """Return what a file in a format for images and videos contains."""
    if data[4:8] == b"ftyp":
        return "a damaged HEIC image" if is_heic(data) else "a damaged AVIF image" if is_avif(data) else "a video"
    if data.startswith(b"RIFF"):
        return "a damaged WebP image" if data[8:12] == b"WEBP" else "a video or a sound"
    return None


def _find_text(data: bytes) -> str | None:
    start = data[:_START].lstrip(codecs.BOM_UTF8).lstrip().lower()
    if start.startswith((b"<!doctype html", b"<html", b"<head", b"<body")):
        return "an HTML page"
    if b"<svg" in start:
        return "an SVG drawing"
    return "a text file" if _is_text(data[:_START]) else None


def _is_text(data: bytes) -> bool:
    try:
        text = codecs.getincrementaldecoder("utf-8")().decode(data)  # The last character may be cut.
    except UnicodeDecodeError:
        return False
    return all(char.isprintable() or char.isspace() for char in text)
