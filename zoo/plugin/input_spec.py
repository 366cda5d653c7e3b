"""How an image becomes the tensor that a backbone expects."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from zoo.plugin.fields import check_when_made, is_count, is_number, refuse

Crop = Literal["center", "squash", "border"]
Interpolation = Literal["nearest", "bilinear", "bicubic"]

CROPS = get_args(Crop)
INTERPOLATIONS = get_args(Interpolation)


@dataclass(frozen=True, slots=True, kw_only=True)
class InputSpec:
    """How an image becomes the tensor that a backbone expects."""

    #: Channels, height and width in pixels of what the backbone sees.
    size: tuple[int, int, int] = (3, 224, 224)
    #: Length in pixels of the shorter side before the crop (with ``squash``: of both sides).
    resize: int = 256
    #: ``center`` cuts the middle out, ``squash`` ignores the aspect ratio, ``border`` pads the shorter side.
    crop: Crop = "center"
    interpolation: Interpolation = "bilinear"
    #: Per channel, of pixels scaled to 0..1.
    mean: tuple[float, ...] = (0.485, 0.456, 0.406)
    std: tuple[float, ...] = (0.229, 0.224, 0.225)
    #: The smallest height and width in pixels that the backbone accepts, where it is known.
    min_size: int | None = None

    def __post_init__(self) -> None:
        check_when_made(check_input, self)


def check_input(spec: InputSpec) -> None:
    """Check the input of a backbone."""
    size = spec.size
    if not (type(size) is tuple and len(size) == 3 and all(is_count(length) for length in size)):
        refuse(spec, "size", size, "three positive numbers: channels, height, width")
    for field in ("mean", "std"):
        value = getattr(spec, field)
        if not (type(value) is tuple and len(value) == size[0] and all(map(is_number, value))):
            refuse(spec, field, value, f"a tuple of {size[0]} numbers, one per channel")
    if min(spec.std) <= 0:
        refuse(spec, "std", spec.std, "numbers above zero")
    if not is_count(spec.resize):
        refuse(spec, "resize", spec.resize, "a number of pixels above zero")
    if spec.crop not in CROPS:
        refuse(spec, "crop", spec.crop, f"one of {', '.join(CROPS)}")
    if spec.interpolation not in INTERPOLATIONS:
        refuse(spec, "interpolation", spec.interpolation, f"one of {', '.join(INTERPOLATIONS)}")
    if spec.min_size is not None and not is_count(spec.min_size):
        refuse(spec, "min_size", spec.min_size, "a number of pixels above zero, or None")
