"""Changes of colour and shape, drawn from a generator of the caller's: threads share torch's own.

The arithmetic is torchvision's; the ranges are those of the papers' own code.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor
from torchvision.transforms.v2 import functional  # type: ignore[import-untyped]  # torchvision has no types

#: What is done to uint8 pixels of shape (3, H, W) by a strength from -1 to 1, of which some need no sign.
Change = Callable[[Tensor, float], Tensor]


def _shear(pixels: Tensor, across: float, down: float) -> Tensor:
    return cast("Tensor", functional.affine(pixels, 0.0, [0, 0], 1.0, [across, down], center=[0, 0]))


def _move(pixels: Tensor, across: float, down: float) -> Tensor:
    return cast("Tensor", functional.affine(pixels, 0.0, [round(across), round(down)], 1.0, [0.0, 0.0]))


def _list_changes(shear: float, move: float, turn: float, colour: float, bits: int) -> Mapping[str, Change]:
    """List the changes: shear in degrees, move in shares of a side, turn in degrees, bits that are lost at most."""
    return {
        "identity": lambda pixels, _: pixels,
        "shear_x": lambda pixels, strength: _shear(pixels, strength * shear, 0.0),
        "shear_y": lambda pixels, strength: _shear(pixels, 0.0, strength * shear),
        "move_x": lambda pixels, strength: _move(pixels, strength * move * pixels.shape[-1], 0),
        "move_y": lambda pixels, strength: _move(pixels, 0, strength * move * pixels.shape[-2]),
        "turn": lambda pixels, strength: cast("Tensor", functional.rotate(pixels, strength * turn)),
        "brightness": lambda pixels, strength: functional.adjust_brightness(pixels, 1 + strength * colour),
        "saturation": lambda pixels, strength: functional.adjust_saturation(pixels, 1 + strength * colour),
        "contrast": lambda pixels, strength: functional.adjust_contrast(pixels, 1 + strength * colour),
        "sharpness": lambda pixels, strength: functional.adjust_sharpness(pixels, 1 + strength * colour),
        "posterise": lambda pixels, strength: functional.posterize(pixels, 8 - round(abs(strength) * bits)),
        "solarise": lambda pixels, strength: functional.solarize(pixels, 255 * (1 - abs(strength))),
        "autocontrast": lambda pixels, _: functional.autocontrast(pixels),
        "equalise": lambda pixels, _: functional.equalize(pixels),
    }


@dataclass(frozen=True)
class Changes:
    """Some changes drawn at random, one after the other."""

    kinds: Mapping[str, Change]
    #: How many are drawn.
    count: int
    #: The strength of each; None: it is drawn as well.
    strength: float | None

    def __call__(self, pixels: Tensor, generator: torch.Generator) -> Tensor:
        """Change uint8 pixels of shape (3, H, W)."""
        for _ in range(self.count):
            kind, strength, sign = torch.rand(3, generator=generator).tolist()
            change = list(self.kinds.values())[int(kind * len(self.kinds))]
            strength = strength if self.strength is None else self.strength
            pixels = change(pixels, strength if sign < 0.5 else -strength)
        return pixels


#: Source: Müller and Hutter 2021, arXiv:2103.10158: one change, of any strength in wide ranges.
TRIVIAL = Changes(_list_changes(shear=44.7, move=0.14, turn=135.0, colour=0.99, bits=6), 1, None)
#: Source: Cubuk et al. 2019, arXiv:1909.13719: two changes of strength 9 of 30.
RAND = Changes(_list_changes(shear=16.7, move=0.45, turn=30.0, colour=0.9, bits=4), 2, 0.3)


@dataclass(frozen=True)
class Erase:
    """Blots out a part of an image with noise, now and then.

    Source: Zhong et al. 2017, arXiv:1708.04896, with its shares and shapes of the part.
    """

    chance: float
    share: tuple[float, float] = (0.02, 1 / 3)
    shape: tuple[float, float] = (0.3, 10 / 3)

    def __call__(self, pixels: Tensor, generator: torch.Generator) -> Tensor:
        """Return uint8 pixels of shape (3, H, W), the same tensor where nothing is blotted out."""
        chance, share, shape, down, across = torch.rand(5, generator=generator).tolist()
        if chance >= self.chance:
            return pixels
        height, width = pixels.shape[-2:]
        area = height * width * (self.share[0] + share * (self.share[1] - self.share[0]))
        ratio = self.shape[0] * (self.shape[1] / self.shape[0]) ** shape
        high, wide = min(height, max(1, round((area / ratio) ** 0.5))), min(width, max(1, round((area * ratio) ** 0.5)))
        top, left = int(down * (height - high + 1)), int(across * (width - wide + 1))
        pixels = pixels.clone()
        noise = torch.randint(0, 256, (3, high, wide), generator=generator, dtype=torch.uint8)
        pixels[:, top : top + high, left : left + wide] = noise
        return pixels
