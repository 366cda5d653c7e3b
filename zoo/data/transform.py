"""What happens to an image between the disk and the backbone, at evaluation and in training."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor, nn
from torchvision.transforms import InterpolationMode, v2  # type: ignore[import-untyped]  # torchvision has no types
from torchvision.transforms.v2 import functional  # type: ignore[import-untyped]  # the same

from zoo.errors import DataError, OptionError
from zoo.recipe import AUGMENTS

if TYPE_CHECKING:
    from zoo.plugin import InputSpec

#: From uint8 of shape (3, H, W) to float32 of shape (3, height, width) of the InputSpec, normalised.
Transform = Callable[[Tensor], Tensor]


#: The least share of the image's area that a random crop keeps: fastai's ``min_scale``. ImageNet's own 0.08 suits
#: millions of images, not hundreds.
CROP_SCALE = (0.35, 1.0)
#: Sides longer than this many times the other are cut before resizing: a line of 1 x 65000 pixels would grow to 12 GB.
MAX_ASPECT = 20

_INTERPOLATIONS = {
    "nearest": InterpolationMode.NEAREST_EXACT,  # what Pillow calls nearest, so what published weights saw
    "bilinear": InterpolationMode.BILINEAR,
    "bicubic": InterpolationMode.BICUBIC,
}


def build_eval_transform(spec: InputSpec) -> Transform:
    """Build the deterministic transform that an InputSpec describes.

    ``center`` resizes the shorter side, ``squash`` both, ``border`` the longer one and pads with the mean colour; then
    the middle is cut out, and what is smaller is padded. Resizing is antialiased.

    Raises:
        DataError: the input has another number of channels than 3.
    """
    _check_channels(spec)
    interpolation = _INTERPOLATIONS[spec.interpolation]
    steps: list[nn.Module] = [] if spec.crop == "squash" else [_LimitAspect()]
    if spec.crop == "squash":
        steps += [v2.Resize((spec.resize, spec.resize), interpolation, antialias=True)]
    elif spec.crop == "border":
        steps += [_FitInto(spec), _PadTo(spec)]
    else:
        steps += [v2.Resize(spec.resize, interpolation, antialias=True)]
    return _compose(*steps, v2.CenterCrop(spec.size[1:]), *_normalise(spec))


def build_train_transform(spec: InputSpec, augment: str) -> Transform:
    """Build the transform for training; it draws from torch's global generator on the CPU, and from nothing else.

    ``crop-flip`` cuts out and resizes a random part and mirrors every second one; ``none`` is the eval transform.

    Raises:
        DataError: the input has another number of channels than 3.
        OptionError: there is no such augmentation.
    """
    if augment not in AUGMENTS:
        raise OptionError(f"there is no augmentation {augment!r}; there are {', '.join(AUGMENTS)}.")
    if augment == "none":
        return build_eval_transform(spec)
    _check_channels(spec)
    interpolation = _INTERPOLATIONS[spec.interpolation]
    crop = v2.RandomResizedCrop(spec.size[1:], CROP_SCALE, interpolation=interpolation, antialias=True)
    return _compose(crop, v2.RandomHorizontalFlip(), *_normalise(spec))


def _compose(*steps: nn.Module) -> Transform:
    return cast("Transform", v2.Compose(list(steps)))


def _normalise(spec: InputSpec) -> tuple[nn.Module, ...]:
    return v2.ToDtype(torch.float32, scale=True), v2.Normalize(list(spec.mean), list(spec.std))


def _check_channels(spec: InputSpec) -> None:
    if spec.size[0] != 3:
        raise DataError(f"the backbone wants images of {spec.size[0]} channels; only RGB, that is 3, can be prepared.")


class _LimitAspect(nn.Module):
    """Cuts the ends off an image that is next to a line."""

    def forward(self, image: Tensor) -> Tensor:
        height, width = image.shape[-2:]
        limit = MAX_ASPECT * min(height, width)
        if max(height, width) <= limit:
            return image
        return cast("Tensor", functional.center_crop(image, [min(height, limit), min(width, limit)]))


class _FitInto(nn.Module):
    """Resizes the longer side; the shorter one is rounded, as timm does for the weights that want this."""

    def __init__(self, spec: InputSpec) -> None:
        super().__init__()
        self._longer = spec.resize
        self._interpolation = _INTERPOLATIONS[spec.interpolation]

    def forward(self, image: Tensor) -> Tensor:
        scale = self._longer / max(image.shape[-2:])
        size = [max(round(scale * side), 1) for side in image.shape[-2:]]
        resized = functional.resize(image, size, interpolation=self._interpolation, antialias=True)
        return cast("Tensor", resized)


class _PadTo(nn.Module):
    """Pads with the mean colour up to the size of the input, the image in the middle."""

    def __init__(self, spec: InputSpec) -> None:
        super().__init__()
        self._size = spec.size[1:]
        self._fill = [round(255 * mean) for mean in spec.mean]

    def forward(self, image: Tensor) -> Tensor:
        height, width = (max(wanted - there, 0) for wanted, there in zip(self._size, image.shape[-2:], strict=True))
        sides = [width // 2, height // 2, width - width // 2, height - height // 2]
        return cast("Tensor", functional.pad(image, sides, fill=self._fill))
