"""Preprocessing that the user chooses instead of what the weights expect, parsed once from a run's options."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from zoo.errors import OptionError

if TYPE_CHECKING:
    from zoo.plugin import InputSpec
    from zoo.plugin.input_spec import Crop

#: How an image is fitted to the input size. ``InputSpec`` uses different names for these values.
RESIZES: dict[str, Crop] = {"crop": "center", "pad": "border", "squash": "squash"}

Channels = tuple[float, ...]
#: Smallest standard deviation of a channel: less than a step of 16-bit pixels, scaled to 0..1.
_LEAST_STD = 1e-5
#: Number of decimal digits of a mean of means, which would otherwise have digits that are only rounding errors.
_DIGITS = 6


@dataclass(frozen=True, slots=True)
class Preprocessing:
    """Changes to the input that the weights expect; None keeps what the weights expect."""

    resize: str | None = None
    #: Height and width of the input in pixels.
    image_size: int | None = None
    mean: Channels | None = None
    std: Channels | None = None
    #: Number of channels of the images.
    channels: int | None = None
    #: Number of bits that the 16-bit images of the data use. This is measured, and not an option.
    bits: int | None = None

    @classmethod
    def parse(
        cls, resize: str | None, image_size: int | None, mean: str | None, std: str | None, channels: int | None = None
    ) -> Preprocessing:
        """Parse the options.

        Raises:
            OptionError: If ``mean`` or ``std`` is not a list of numbers for pixels from 0 to 1.
        """
        return cls(resize, image_size, _parse_channels("mean", mean), _parse_channels("std", std), channels)

    def apply(self, spec: InputSpec) -> InputSpec:
        """Return the input after the changes.

        Raises:
            OptionError: If the backbone does not accept the image size, or has a different number of channels.
        """
        height, channels = spec.size[1], self.channels or spec.size[0]
        for name, values in (("mean", self.mean), ("std", self.std)):
            if values and len(values) not in (1, channels):
                raise OptionError(f"`{name}` has {len(values)} numbers, but the input has {channels} channels.")
        if self.image_size and spec.min_size and self.image_size < spec.min_size:
            raise OptionError(
                f"`image_size` must be at least {spec.min_size} for this backbone, got {self.image_size}."
            )
        side = self.image_size or height
        crop = RESIZES[self.resize] if self.resize else spec.crop
        return replace(
            spec,
            size=(channels, side, side) if self.image_size else (channels, *spec.size[1:]),
            # The margin around the crop stays in proportion. Images that are padded or squashed are used whole.
            resize=round(spec.resize * side / height) if crop == spec.crop else side,
            crop=crop,
            mean=_spread(self.mean, channels) or _fit(spec.mean, channels),
            std=_spread(self.std, channels) or _fit(spec.std, channels),
            bits=self.bits or spec.bits,
        )

    def list_changes(self, spec: InputSpec) -> list[str]:
        """Return how the input differs from the one that the weights expect."""
        return list_differences(self.apply(spec), spec)


def list_differences(changed: InputSpec, spec: InputSpec) -> list[str]:
    """Return how an input differs from another one."""
    pairs = (
        ("channels", changed.size[0], spec.size[0]),
        ("size", changed.size[1:], spec.size[1:]),
        ("crop", changed.crop, spec.crop),
        ("resize", changed.resize, spec.resize),
        ("interpolation", changed.interpolation, spec.interpolation),
        ("mean", changed.mean, _fit(spec.mean, changed.size[0])),
        ("std", changed.std, _fit(spec.std, changed.size[0])),
    )
    is_resized = (changed.size[1:], changed.crop) != (
        spec.size[1:],
        spec.crop,
    )  # Then the side before the crop differs, too.
    return [
        f"{name} {_show(new)} instead of {_show(old)}"
        for name, new, old in pairs
        if new != old and not (name == "resize" and is_resized)
    ]


def _parse_channels(name: str, text: str | None) -> Channels | None:
    if text is None:
        return None
    try:
        values = tuple(float(part) for part in text.split(","))
    except ValueError:
        values = ()
    # Outside these limits, the values cannot belong to pixels from 0 to 1. The standard deviation 1 changes nothing.
    is_valid = all((_LEAST_STD if name == "std" else 0) <= value <= 1 for value in values)  # refuses NaN
    if not values or not is_valid:
        limits = f"from {_LEAST_STD:.5f} to 1" if name == "std" else "from 0 to 1"
        is_of_bytes = bool(values) and 1 < max(values) <= 255 and min(values) >= 0
        advice = "; for values from 0 to 255, divide by 255" if is_of_bytes else ""
        raise OptionError(
            f"`{name}` must be numbers {limits}, for pixels from 0 to 1, such as 0.5,0.5,0.5, got {text!r}{advice}."
        )
    return values


def _spread(values: Channels | None, channels: int) -> Channels | None:
    return values * channels if values and len(values) == 1 else values


def _fit(values: Channels, channels: int) -> Channels:
    """Return values for another number of channels: their mean for one, else the same values again and again.

    The weights of the first convolution are repeated in the same order.
    """
    if channels == len(values):
        return values
    if channels == 1:
        return (round(sum(values) / len(values), _DIGITS),)
    return tuple(values[index % len(values)] for index in range(channels))


def _show(value: object) -> str:
    return "x".join(map(str, value)) if isinstance(value, tuple) and all(type(v) is int for v in value) else str(value)
