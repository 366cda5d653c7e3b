"""What the header of an image file says about the image."""

from __future__ import annotations

from enum import IntFlag

from PIL import Image

#: Formats whose further frames are an animation. In a JPEG, they are previews or depth maps; in a TIFF, pages.
_ANIMATED = ("GIF", "PNG", "WEBP", "AVIF")
_ORIENTATION = 0x0112
_UPRIGHT = 1


class Mark(IntFlag):
    """A property that is unusual among photos, and that other programs often handle differently."""

    ANIMATED = 1
    CMYK = 2
    PALETTE = 4
    #: Transparent pixels are possible.
    ALPHA = 8
    #: 16 bits per value.
    DEEP = 16
    #: The EXIF orientation rotates or mirrors the image.
    ROTATED = 32


def read_marks(image: Image.Image) -> Mark:
    """Return the marks of an opened image. Damaged metadata is ignored, as it is when the image is decoded."""
    marks = Mark(0)
    if image.format in _ANIMATED and _has_frames(image):
        marks |= Mark.ANIMATED
    if image.mode == "CMYK":
        marks |= Mark.CMYK
    if image.mode in ("P", "PA"):
        marks |= Mark.PALETTE
    if image.has_transparency_data:
        marks |= Mark.ALPHA
    if _is_rotated(image):
        marks |= Mark.ROTATED
    return marks


def _has_frames(image: Image.Image) -> bool:
    try:
        return bool(getattr(image, "is_animated", False))
    except Exception:  # noqa: BLE001  # Only the second frame is damaged.
        return True


def _is_rotated(image: Image.Image) -> bool:
    try:
        orientation = image.getexif().get(_ORIENTATION, _UPRIGHT)
    except Exception:  # noqa: BLE001  # Only the metadata is damaged.
        return False
    return orientation in range(2, 9)
