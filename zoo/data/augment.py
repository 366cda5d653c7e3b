"""Random color and geometric transformations.

The random numbers come from the caller's generator, because threads share torch's global one. The arithmetic is
torchvision's. The ranges come from the papers' reference code.

Import this module only if a run needs it, because importing torchvision takes nearly as long as importing torch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor
from torchvision.transforms.v2 import functional  # type: ignore[import-untyped]  # torchvision has no types

#: Operation on uint8 pixels of shape (3, H, W), or (1, H, W) in grayscale, with a strength from -1 to 1. Some
#: operations ignore the sign.
Op = Callable[[Tensor, float], Tensor]


def _shear(pixels: Tensor, x: float, y: float) -> Tensor:
    return cast("Tensor", functional.affine(pixels, 0.0, [0, 0], 1.0, [x, y], center=[0, 0]))


def _translate(pixels: Tensor, x: float, y: float) -> Tensor:
    return cast("Tensor", functional.affine(pixels, 0.0, [round(x), round(y)], 1.0, [0.0, 0.0]))


def _build_ops(shear: float, translate: float, rotate: float, color: float, bits: int) -> Mapping[str, Op]:
    """Build the operations and return them by name.

    Args:
        shear: Maximum shear in degrees.
        translate: Maximum translation as a fraction of the width or height.
        rotate: Maximum rotation in degrees.
        color: Maximum change of brightness, saturation, contrast and sharpness, as a fraction.
        bits: Maximum number of bits that posterizing removes.
    """
    return {
        "identity": lambda pixels, _: pixels,
        "shear_x": lambda pixels, strength: _shear(pixels, strength * shear, 0.0),
        "shear_y": lambda pixels, strength: _shear(pixels, 0.0, strength * shear),
        "translate_x": lambda pixels, strength: _translate(pixels, strength * translate * pixels.shape[-1], 0),
        "translate_y": lambda pixels, strength: _translate(pixels, 0, strength * translate * pixels.shape[-2]),
        "rotate": lambda pixels, strength: cast("Tensor", functional.rotate(pixels, strength * rotate)),
        "brightness": lambda pixels, strength: functional.adjust_brightness(pixels, 1 + strength * color),
        "saturation": lambda pixels, strength: functional.adjust_saturation(pixels, 1 + strength * color),
        "contrast": lambda pixels, strength: functional.adjust_contrast(pixels, 1 + strength * color),
        "sharpness": lambda pixels, strength: functional.adjust_sharpness(pixels, 1 + strength * color),
        "posterize": lambda pixels, strength: functional.posterize(pixels, 8 - round(abs(strength) * bits)),
        "solarize": lambda pixels, strength: functional.solarize(pixels, 255 * (1 - abs(strength))),
        "autocontrast": lambda pixels, _: functional.autocontrast(pixels),
        "equalize": lambda pixels, _: functional.equalize(pixels),
    }


@dataclass(frozen=True)
class RandomOps:
    """Random operations that are applied one after another."""

    ops: Mapping[str, Op]
    #: Number of operations to apply to each image.
    count: int
    #: Strength of each operation, or None to choose it at random.
    strength: float | None

    def __call__(self, pixels: Tensor, generator: torch.Generator) -> Tensor:
        """Return the transformed pixels. The input and the output are uint8 of shape (3, H, W) or (1, H, W)."""
        for _ in range(self.count):
            choice, strength, sign = torch.rand(3, generator=generator).tolist()
            op = list(self.ops.values())[int(choice * len(self.ops))]
            strength = strength if self.strength is None else self.strength
            pixels = op(pixels, strength if sign < 0.5 else -strength)
        return pixels


#: TrivialAugment: one operation with a random strength from a wide range.
#: Source: Müller and Hutter 2021, arXiv:2103.10158.
TRIVIAL_AUGMENT = RandomOps(_build_ops(shear=44.7, translate=0.14, rotate=135.0, color=0.99, bits=6), 1, None)
#: RandAugment: two operations at magnitude 9 out of 30. Source: Cubuk et al. 2019, arXiv:1909.13719.
RAND_AUGMENT = RandomOps(_build_ops(shear=16.7, translate=0.45, rotate=30.0, color=0.9, bits=4), 2, 0.3)
