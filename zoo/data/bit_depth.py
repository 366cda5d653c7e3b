"""How many bits the values of 16-bit images use, measured on the images of train, because most files do not state it.

Microscopes and medical devices often write 10 or 12 bits as 16. With a white level of 16 bits, such images are black.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from zoo.data.examine import Examined

if TYPE_CHECKING:
    from zoo.progress import Progress

_MIN_BITS, _MAX_BITS = 8, 16


def measure_bits(images: Iterable[Examined]) -> int | None:
    """Return how many bits the largest value of 16-bit images in train needs, at least 8; None if there are none."""
    peak = max((image.peak for image in images if image.file.split == "train"), default=0)
    return max(peak.bit_length(), _MIN_BITS) if peak else None


def report_bits(images: Iterable[Examined], bits: int | None, progress: Progress) -> None:
    """Report how 16-bit images are scaled, and warn about images that this scale does not suit.

    Args:
        images: The images that are used.
        bits: Number of bits of the run; None if it was trained without 16-bit images.
        progress: Where to report.
    """
    peaks = [image.peak for image in images if image.peak]
    if not peaks:
        return
    used = bits or _MAX_BITS
    if used < _MAX_BITS:
        progress.say(f"note: the 16-bit images of train use {used} bits, so a value of {2**used - 1:,} is white")
    if bright := sum(peak >= 2**used for peak in peaks):
        has, become = ("image has", "becomes") if bright == 1 else ("images have", "become")
        progress.say(f"warning: {bright} 16-bit {has} values above {2**used - 1:,}, and {become} too bright")
    if bits is None and (widest := max(peaks).bit_length()) < _MAX_BITS:
        progress.say(
            f"warning: the 16-bit images use {widest} bits and are too dark, because the run was trained without "
            "16-bit images"
        )
