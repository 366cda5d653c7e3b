"""The kinds of findings about the images of a data set."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of finding."""

    #: Short name, which is part of the JSON output and of run.json.
    code: str
    #: What it means, as a clause about one image or one class.
    meaning: str
    #: Whether it makes an accuracy wrong or an image useless. Other findings are only worth knowing.
    is_warning: bool = False


SKIPPED = Kind("skipped", "cannot be used, for the given reason", is_warning=True)
LEAK = Kind("leak", "is also in train, or is a test image that is also in val", is_warning=True)
NEAR_LEAK = Kind("near-leak", "looks the same as an image in train, or in val if it is a test image", is_warning=True)
CONFLICT = Kind("conflict", "is in more than one class", is_warning=True)
NEAR_CONFLICT = Kind("near-conflict", "looks the same as an image of a different class", is_warning=True)
DOUBTFUL_LABEL = Kind("doubtful-label", "looks more like a different class", is_warning=True)
SHARED_GROUP = Kind("shared-group", "is a group that also has images in train, or in val for test", is_warning=True)
MISSING_CLASS = Kind("missing-class", "has no images in this split", is_warning=True)
BLACK = Kind("black", "is nearly black", is_warning=True)
WHITE = Kind("white", "is nearly white", is_warning=True)
FLAT = Kind("flat", "has a single color", is_warning=True)
IMBALANCE = Kind("imbalance", "has far fewer training images than the largest class")
DUPLICATE = Kind("duplicate", "is in this split more than once")
NEAR_DUPLICATE = Kind("near-duplicate", "looks the same as another image of this split")
WRONG_SUFFIX = Kind("wrong-suffix", "has a different format than its name says")
ANIMATED = Kind("animated", "is an animation, of which the first frame is used")
CMYK = Kind("cmyk", "has CMYK colors, which are converted to RGB")
PALETTE = Kind("palette", "has a color palette, which is converted to RGB")
ALPHA = Kind("alpha", "has transparency, which is blended with white")
DEEP = Kind("16-bit", "has 16 bits per value, which are reduced to 8")
ROTATED = Kind("rotated", "is rotated according to its EXIF orientation")
TINY = Kind("tiny", "has a side of less than 32 pixels")
HUGE = Kind("huge", "has more than 50 megapixels")

#: All kinds, the most harmful first.
KINDS = tuple(value for value in vars().copy().values() if isinstance(value, Kind))
