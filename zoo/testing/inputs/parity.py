"""Preprocess photos with zoo and with upstream, and compare the tensors."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import product

from PIL import Image
from torch import Tensor

from zoo.data.image_transform import ImageTransform
from zoo.data.transform import build_eval_transform
from zoo.plugin import InputSpec
from zoo.testing.inputs.difference import Difference, measure_difference
from zoo.testing.inputs.photos import Photo, list_photos

#: Upstream's preprocessing: a function from an RGB image to a float tensor of shape (C, H, W).
Preprocess = Callable[[Image.Image], Tensor]
#: Number of pixels by which one image is shifted against another, down and across.
Shift = tuple[int, int]


@dataclass(frozen=True)
class Prepared:
    """Photos, and what upstream makes of them."""

    photos: tuple[Photo, ...]
    theirs: tuple[Tensor, ...]

    def compare(self, expected: InputSpec, shift: Shift | None = None) -> Difference:
        """Compare upstream's tensors with zoo's.

        Args:
            expected: The input with which zoo prepares the photos.
            shift: Number of pixels by which upstream's crop is lower and further right. Default: either of the two
                crops between which rounding decides, if the number of pixels that are cut off is odd.
        """
        prepare = ImageTransform(build_eval_transform(expected))
        pairs = []
        for photo, other in zip(self.photos, self.theirs, strict=True):
            own = prepare(photo.content)
            shifts = [shift] if shift else list(_list_roundings(expected, photo))
            shifted = [(_cut(own, *one), _cut(other, *(-step for step in one))) for one in shifts]
            pairs.append(min(shifted, key=lambda pair: (pair[0] - pair[1]).abs().mean().item()))
        return measure_difference([own for own, _ in pairs], [other for _, other in pairs], expected)

    def only_first(self) -> Prepared:
        """Return the first photo alone."""
        return Prepared(self.photos[:1], self.theirs[:1])

    def with_channels_reversed(self) -> Prepared:
        """Return the photos with the channels of upstream's tensors in reverse order."""
        return replace(self, theirs=tuple(tensor.flip(0) for tensor in self.theirs))


def prepare_upstream(preprocess: Preprocess, expected: InputSpec) -> Prepared:
    """Preprocess the photos for an input with upstream."""
    photos = list_photos(expected)
    return Prepared(photos, tuple(preprocess(photo.open()) for photo in photos))


def _list_roundings(expected: InputSpec, photo: Photo) -> Iterator[Shift]:
    """List the shifts of crops of a photo that differ only in rounding, beginning with none."""
    excess = (side - size for side, size in zip(_resize(expected, photo.size), expected.size[1:], strict=True))
    yield from product(*((0, 1, -1) if number % 2 else (0,) for number in excess))


def _resize(expected: InputSpec, size: tuple[int, int]) -> Sequence[int]:
    """Return the height and width of a photo after resizing."""
    if expected.crop == "squash":
        return expected.squashed
    if expected.crop == "border":
        return [round(expected.resize * side / max(size)) for side in size]
    return [expected.resize * side // min(size) for side in size]


def _cut(tensor: Tensor, down: int, across: int) -> Tensor:
    """Cut off the pixels that a tensor shifted the other way lacks."""
    rows, columns = (slice(max(step, 0), min(step, 0) or None) for step in (down, across))
    return tensor[:, rows, columns]
