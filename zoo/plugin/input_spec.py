"""The input that a backbone expects."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, get_args

from zoo.plugin.fields import check_when_made, is_count, is_number, require

Crop = Literal["center", "squash", "border"]
Interpolation = Literal["nearest", "bilinear", "bicubic"]

CROPS = get_args(Crop)
INTERPOLATIONS = get_args(Interpolation)


@dataclass(frozen=True, slots=True, kw_only=True)
class InputSpec:
    """The input that a backbone expects, and how an image is converted to it.

    An image is resized, cropped to ``size``, scaled to values from 0 to 1, and normalized with ``mean`` and ``std``.
    The model receives a float tensor of shape (N, *size). The defaults match torchvision's ImageNet models: resize to
    256 pixels, then crop the center 224.

    Example:
        InputSpec(size=(3, 299, 299), resize=342, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))

    Raises:
        PluginError: If a field has an invalid value.
    """

    #: Channels, height and width of the input, the last two in pixels.
    size: tuple[int, int, int] = (3, 224, 224)
    #: Length in pixels to which the shorter side is resized before the crop. With ``crop="squash"``, both sides are
    #: resized to this length, or to the aspect ratio of ``size`` with this length as the longer side; with
    #: ``crop="border"``, the longer side.
    resize: int = 256
    #: How an image is fitted to ``size``: ``center`` crops the center, ``squash`` ignores the aspect ratio, ``border``
    #: pads the shorter side.
    crop: Crop = "center"
    #: Interpolation mode for resizing.
    interpolation: Interpolation = "bilinear"
    #: Mean of each channel, for pixel values scaled to 0..1.
    mean: tuple[float, ...] = (0.485, 0.456, 0.406)
    #: Standard deviation of each channel, for pixel values scaled to 0..1.
    std: tuple[float, ...] = (0.229, 0.224, 0.225)
    #: Smallest height and width that the backbone accepts, in pixels; None if unknown.
    min_size: int | None = None
    #: Number of bits that the values of 16-bit images use, from 8 to 16. A run that is trained on such images measures
    #: it; a plugin leaves it out.
    bits: int | None = None

    def __post_init__(self) -> None:
        check_when_made(check_input, self)

    @property
    def squashed(self) -> tuple[int, int]:
        """Height and width to which ``crop="squash"`` resizes an image before the crop, in pixels."""
        height, width = (round(self.resize * side / max(self.size[1:])) for side in self.size[1:])
        return height, width


def check_input(spec: InputSpec) -> None:
    """Check an input.

    Raises:
        PluginError: If a field has an invalid value.
    """
    is_size = type(spec.size) is tuple and len(spec.size) == 3 and all(map(is_count, spec.size))
    require(spec, ("size", is_size, "a tuple of three positive integers: channels, height, width"))
    channels = spec.size[0]
    require(
        spec,
        ("mean", _are_numbers(spec.mean, channels), f"a tuple of {channels} numbers, one per channel"),
        (
            "std",
            _are_numbers(spec.std, channels) and min(spec.std) > 0,
            f"a tuple of {channels} numbers above zero, one per channel",
        ),
        ("resize", is_count(spec.resize), "a positive number of pixels"),
        ("crop", spec.crop in CROPS, f"one of {', '.join(CROPS)}"),
        ("interpolation", spec.interpolation in INTERPOLATIONS, f"one of {', '.join(INTERPOLATIONS)}"),
        ("min_size", spec.min_size is None or is_count(spec.min_size), "a positive number of pixels, or None"),
        ("bits", spec.bits is None or (is_count(spec.bits) and 8 <= spec.bits <= 16), "from 8 to 16, or None"),
    )


def _are_numbers(value: Any, count: int) -> bool:
    return type(value) is tuple and len(value) == count and all(map(is_number, value))
