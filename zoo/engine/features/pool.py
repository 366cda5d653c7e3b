"""Average features over the positions of an image, so that a few numbers describe it."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from zoo.engine.batches import FeatureRows

#: Number of images whose features are read at once.
_CHUNK = 256


def pool_features(rows: FeatureRows, shapes: Sequence[torch.Size]) -> Tensor:
    """Return the features of all images, float32 of shape (N, width).

    Some heads pool their input themselves: SqueezeNet's takes 512 channels at 169 positions. Averaged over the
    positions, these features found 79% of the wrong labels in a measurement, instead of 67%.

    Args:
        rows: Features of images, as an extractor returned them.
        shapes: Shapes of one image's features, from `Tail.shapes`. Those of shape (channels, height, width) are
            averaged.
    """
    count = len(rows.row_indices)
    chunks = (torch.arange(first, min(first + _CHUNK, count)) for first in range(0, count, _CHUNK))
    return torch.cat([_pool(rows[some], shapes) for some in chunks])


def _pool(rows: Tensor, shapes: Sequence[torch.Size]) -> Tensor:
    parts = torch.split(rows.float(), [shape.numel() for shape in shapes], 1)
    return torch.cat(
        [
            part.reshape(-1, *shape).mean((2, 3)) if len(shape) == 3 else part
            for part, shape in zip(parts, shapes, strict=True)
        ],
        1,
    )
