"""Preprocessing that upstream libraries could have, in Pillow and without zoo."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from PIL import Image
    from torch import Tensor

    from zoo.plugin import InputSpec


def build_preprocessing(expected: InputSpec, *, down: int = 0) -> Callable[[Image.Image], Tensor]:
    """Prepare images as an input says, with the crop ``down`` pixels below the center."""

    def preprocess(image: Image.Image) -> Tensor:
        import torch

        pixels = torch.from_numpy(_crop(image, expected, down)).permute(2, 0, 1).float() / 255
        mean, std = (torch.tensor(values)[:, None, None] for values in (expected.mean, expected.std))
        return (pixels - mean) / std

    return preprocess


def _crop(image: Image.Image, expected: InputSpec, down: int) -> Any:
    import numpy as np
    from PIL import Image

    _, height, width = expected.size
    size = [expected.resize * side // min(image.size) for side in image.size]
    if expected.crop == "squash":
        size = [expected.resize, expected.resize]
    resized = image.resize((size[0], size[1]), Image.Resampling[expected.interpolation.upper()])
    left, top = (size[0] - width) // 2, (size[1] - height) // 2 + down
    return np.array(resized.crop((left, top, left + width, top + height)))
