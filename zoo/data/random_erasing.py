"""Random erasing."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class RandomErasing:
    """Random erasing, which replaces a random rectangle of an image with noise.

    Source: Zhong et al. 2017, arXiv:1708.04896. The default ranges of the area and the aspect ratio are timm's.
    """

    probability: float
    #: Range of the rectangle's area, as a fraction of the image.
    scale: tuple[float, float] = (0.02, 1 / 3)
    #: Range of the rectangle's aspect ratio.
    ratio: tuple[float, float] = (0.3, 10 / 3)

    def __call__(self, pixels: Tensor, generator: torch.Generator) -> Tensor:
        """Return uint8 pixels of shape (C, H, W): a copy, or the same tensor if nothing is erased."""
        chance, fraction, shape, down, across = torch.rand(5, generator=generator).tolist()
        if chance >= self.probability:
            return pixels
        height, width = pixels.shape[-2:]
        area = height * width * (self.scale[0] + fraction * (self.scale[1] - self.scale[0]))
        ratio = self.ratio[0] * (self.ratio[1] / self.ratio[0]) ** shape
        box_height = min(height, max(1, round((area / ratio) ** 0.5)))
        box_width = min(width, max(1, round((area * ratio) ** 0.5)))
        top, left = int(down * (height - box_height + 1)), int(across * (width - box_width + 1))
        pixels = pixels.clone()
        noise = torch.randint(0, 256, (len(pixels), box_height, box_width), generator=generator, dtype=torch.uint8)
        pixels[:, top : top + box_height, left : left + box_width] = noise
        return pixels
