"""Augmented views of a single image, which depend on nothing but the image."""

from __future__ import annotations

import hashlib
from functools import partial
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from zoo.data.transform import Transform, build_eval_transform, build_train_transform

if TYPE_CHECKING:
    from zoo.plugin import InputSpec

#: Augmentation of the views.
AUGMENT = "crop-flip"


def build_views_transform(spec: InputSpec, views: int) -> Transform:
    """Build a deterministic transform that returns an image and its augmented views, (1 + views, C, height, width).

    The random numbers come from the pixels, so the views do not depend on the image's name, its position among other
    images, or the batch.
    """
    plain, augmented = build_eval_transform(spec), build_train_transform(spec, AUGMENT)
    return Transform(partial(_make_views, plain, augmented, views), None, plain.normalize, plain.bits, plain.channels)


def _make_views(plain: Transform, augmented: Transform, views: int, pixels: Tensor) -> Tensor:
    assert augmented.crop is not None
    reduced = augmented.reduce(pixels)
    digest = hashlib.blake2b(reduced.contiguous().numpy().data, digest_size=8).digest()
    generator = torch.Generator().manual_seed(int.from_bytes(digest, "big") >> 1)
    return torch.stack([plain.reduce(pixels), *(augmented.crop(reduced, generator) for _ in range(views))])
