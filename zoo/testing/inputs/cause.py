"""Find the input that explains the tensors of upstream's preprocessing, by trying others than the declared one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import product

from zoo.plugin import InputSpec
from zoo.plugin.input_spec import CROPS, INTERPOLATIONS
from zoo.testing.inputs.difference import Difference
from zoo.testing.inputs.parity import Prepared, Shift

#: Usual values of ``resize``, and of the crop's side as a fraction of it.
_RESIZES = (224, 232, 236, 240, 246, 248, 256, 288, 320, 342, 384, 438, 448, 480, 512)
_FRACTIONS = (1.0, 0.99, 0.98, 0.97, 0.965, 0.96, 0.95, 0.94, 0.935, 0.925, 0.92, 0.91, 0.9, 0.89, 0.875, 0.85, 0.8)
#: Usual means and standard deviations: of ImageNet, of Inception, of CLIP, and none.
_CONVENTIONS = (
    ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
    ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)),
    ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0)),
)
#: Number of pixels by which crops are shifted, and numbers that are added to the best value of ``resize``.
_MAX_SHIFT = 3
_STEPS = range(-4, 5)


def describe_cause(prepared: Prepared, expected: InputSpec, found: Difference) -> str:
    """Describe what upstream's preprocessing looks like, where it differs from an input, and what to change.

    Args:
        prepared: The photos and upstream's tensors, whose shapes are those of the input.
        expected: The declared input.
        found: The difference between both.
    """
    if found.has_same_pixels:
        return f"looks like {_describe_normalization(found, expected)}; correct the input"
    if prepared.with_channels_reversed().compare(expected).has_same_pixels:
        return "looks like it reverses the channels (BGR); reverse those of the first layer in convert"
    if shift := _find_shift(prepared, expected):
        return f"looks like its crop is {_describe_shift(shift)}; declare why in expected_failures"
    best = _find_geometry(prepared.only_first(), expected)
    difference = prepared.compare(best)
    if not difference.has_same_pixels:
        return (
            f"resizes or crops differently: its pixels differ by {found.pixels:.1f} of 255 on average, and no other "
            "crop, resize or interpolation explains it; compare it with the input by hand"
        )
    fields = ("crop", "resize", "interpolation")
    changes = [f"{name} {getattr(best, name)}" for name in fields if getattr(best, name) != getattr(expected, name)]
    if not difference.has_same_normalization(best):
        changes.append(_describe_normalization(difference, best))
    return f"looks like {', '.join(changes)}; correct the input"


def _describe_normalization(found: Difference, expected: InputSpec) -> str:
    """Describe mean and standard deviation, with the usual values if they are close to them."""
    mean, std = (tuple(round(value, 3) for value in values) for values in (found.mean, found.std))
    for usual_mean, usual_std in _CONVENTIONS:
        usual = replace(expected, mean=usual_mean, std=usual_std)
        if found.has_same_normalization(usual):
            mean, std = usual_mean, usual_std
    if min(std) > 1:
        return f"mean {mean} and std {std} for pixels from 0 to 1, so it may divide pixels by 255 twice"
    only_mean = found.has_same_normalization(replace(expected, mean=found.mean))
    only_std = found.has_same_normalization(replace(expected, std=found.std))
    return f"mean {mean}" if only_mean else f"std {std}" if only_std else f"mean {mean} and std {std}"


def _find_shift(prepared: Prepared, expected: InputSpec) -> Shift | None:
    """Find a shift of the crop that explains the difference."""
    first, steps = prepared.only_first(), range(-_MAX_SHIFT, _MAX_SHIFT + 1)
    shifts = [shift for shift in product(steps, steps) if shift != (0, 0)]
    best = min(shifts, key=lambda shift: first.compare(expected, shift).pixels)
    return best if prepared.compare(expected, best).has_same_pixels else None


def _describe_shift(shift: Shift) -> str:
    down, across = shift
    steps = (down, "lower", "higher"), (across, "further right", "further left")
    return " and ".join(
        f"{abs(step)} pixel{'s' if abs(step) > 1 else ''} {after if step > 0 else before}"
        for step, after, before in steps
        if step
    )


def _find_geometry(prepared: Prepared, expected: InputSpec) -> InputSpec:
    """Find the crop, resize and interpolation that explain a photo best."""
    sides = sorted({*_RESIZES, *(int(max(expected.size[1:]) / fraction) for fraction in _FRACTIONS)})
    shapes = (replace(expected, crop=crop, resize=side) for crop, side in product(CROPS, sides))
    best = _find_best(prepared, shapes)
    best = _find_best(prepared, (replace(best, resize=max(best.resize + step, 1)) for step in _STEPS))
    return _find_best(prepared, _list_interpolations(best))


def _list_interpolations(expected: InputSpec) -> Iterator[InputSpec]:
    yield from (replace(expected, interpolation=interpolation) for interpolation in INTERPOLATIONS)


def _find_best(prepared: Prepared, inputs: Iterable[InputSpec]) -> InputSpec:
    return min(inputs, key=lambda expected: prepared.compare(expected).pixels)
