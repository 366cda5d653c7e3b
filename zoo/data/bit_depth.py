"""How many bits the values of 16-bit images use, measured on the images of train, because most files do not state it.

Microscopes and medical devices often write 10 or 12 bits as 16. With a white level of 16 bits, such images are black.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from zoo.data.channels import RGB
from zoo.data.examination.examine import examine_files
from zoo.data.examination.traits import Traits

if TYPE_CHECKING:
    from zoo.data.sample import Sample
    from zoo.progress import Progress

_MIN_BITS, _MAX_BITS = 8, 16
#: Number of images of train that are decoded if none of them was examined.
MEASURED = 1000


def choose_bits(
    images: Sequence[Sample], traits: Mapping[bytes, Traits], progress: Progress, channels: int = RGB
) -> int | None:
    """Return how many bits the 16-bit images of train use, or None if there are none, and report the scale.

    Args:
        images: All images that are used. If they were not examined, some images of train are decoded now.
        traits: Traits of the images that were examined.
        progress: Where to report.
        channels: Number of channels of the input.
    """
    if not images[0].is_examined:
        images, traits = _examine_some([image for image in images if image.file.split == "train"], progress, channels)
    bits = measure_bits(find_peaks((image for image in images if image.file.split == "train"), traits))
    report_bits(find_peaks(images, traits), bits, progress)
    return bits


def _examine_some(
    train: Sequence[Sample], progress: Progress, channels: int
) -> tuple[list[Sample], Mapping[bytes, Traits]]:
    """Decode images at regular distances. Images are sorted by class, so all large classes are among them."""
    some = train[:: -(-len(train) // MEASURED)]
    labels = {image.file.class_name: image.label for image in some}
    images, _, traits = examine_files([image.file for image in some], labels, progress=progress, channels=channels)
    if find_peaks(images, traits):
        progress.say(f"note: measured the bits of 16-bit images on {len(images):,} of {len(train):,} images of train")
    return images, traits


def find_peaks(images: Iterable[Sample], traits: Mapping[bytes, Traits]) -> list[int]:
    """Return the largest value of each image with 16 bits per value, unless the file states how many it uses."""
    found = (traits[image.digest].peak for image in images if image.digest in traits)
    return [peak for peak in found if peak]


def measure_bits(peaks: Iterable[int]) -> int | None:
    """Return how many bits the largest value needs, at least 8; None if there is no value."""
    peak = max(peaks, default=0)
    return max(peak.bit_length(), _MIN_BITS) if peak else None


def report_bits(peaks: Sequence[int], bits: int | None, progress: Progress) -> None:
    """Report how 16-bit images are scaled, and warn about images that this scale does not suit.

    Args:
        peaks: The largest value of each image, from `find_peaks`.
        bits: Number of bits of the run; None if it was trained without 16-bit images.
        progress: Where to report.
    """
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
