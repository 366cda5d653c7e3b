"""Preprocessing of images for a backbone, for evaluation and for training."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from zoo.data.channels import GRAY, RGB, fit_channels
from zoo.data.geometry import crop_center, pad, resize, resize_shorter
from zoo.data.random_erasing import RandomErasing
from zoo.errors import OptionError
from zoo.registry.recipe import AUGMENTS

if TYPE_CHECKING:
    from zoo.plugin import InputSpec

#: Deterministic step from decoded pixels, uint8 of shape (3, H, W), to the smaller image that is worth caching,
#: with the channels of the input.
Reduce = Callable[[Tensor], Tensor]
#: Random step from uint8 of shape (C, H, W) to uint8 of shape (C, H', W'). It uses only the given generator.
Crop = Callable[[Tensor, torch.Generator], Tensor]

#: Range of a random crop's area, as a fraction of the image. The minimum is fastai's ``min_scale``. The usual value for
#: ImageNet, 0.08, suits millions of images, not hundreds.
CROP_SCALE = (0.35, 1.0)
#: Largest aspect ratio of an image that is resized without cropping. More elongated images are cropped first, because
#: resizing the shorter side of 1 x 65000 pixels would take 12 GB.
MAX_ASPECT = 20

#: Largest aspect ratio of a random crop; the smallest is its inverse.
_MAX_CROP_ASPECT = 4 / 3
_TRIES = 10


@dataclass(frozen=True)
class Transform:
    """The preprocessing steps, which are separate because they run at different times."""

    #: Deterministic step, whose result may be cached.
    reduce: Reduce
    #: Random step, or None if nothing is random.
    crop: Crop | None
    #: Last step, which runs on a full batch on the model's device.
    normalize: Normalize
    #: Number of bits that 16-bit images use, as in `zoo.data.decode.decode_image`.
    bits: int | None = None
    #: Number of channels of the input, as in `zoo.data.decode.decode_image`.
    channels: int = RGB

    def __call__(self, pixels: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Transform the pixels of one image, uint8 of shape (3, H, W), to float32 of shape (C, height, width)."""
        reduced = self.reduce(pixels)
        return self.normalize(self.crop(reduced, generator or torch.default_generator) if self.crop else reduced)


class Normalize:
    """Normalization of uint8 images of shape (C, H, W) or (N, C, H, W) to float32, by an InputSpec's mean and std."""

    def __init__(self, spec: InputSpec) -> None:
        mean, std = (torch.tensor(values)[:, None, None] for values in (spec.mean, spec.std))
        # These compute (x / 255 - mean) / std in one pass. They are kept for each device, because a copy to a device
        # blocks until the device is done, and because several threads use this object.
        self._constants = {torch.device("cpu"): (1 / (255 * std), -mean / std)}

    def __call__(self, images: Tensor) -> Tensor:
        """Normalize the images on their current device."""
        device = images.device
        if device not in self._constants:
            scale, shift = self._constants[torch.device("cpu")]
            self._constants[device] = scale.to(device), shift.to(device)
        scale, shift = self._constants[device]
        return torch.addcmul(shift, images.float(), scale)

    def invert(self, normalized: Tensor) -> Tensor:
        """Return the uint8 images that were normalized, of the same shape and on the same device."""
        scale, shift = (constant.to(normalized.device) for constant in self._constants[torch.device("cpu")])
        return ((normalized.float() - shift) / scale).round().clamp(0, 255).to(torch.uint8)


def build_eval_transform(spec: InputSpec) -> Transform:
    """Build the deterministic transform that an InputSpec describes.

    Crop mode ``center`` resizes the shorter side, ``squash`` resizes both sides, and ``border`` resizes the longer side
    and pads with the mean color. Then the center is cropped, and smaller images are padded. Resizing is antialiased. If
    the input has one channel, images are first converted to grayscale.
    """
    return Transform(partial(_resize_and_crop, spec), None, Normalize(spec), spec.bits, spec.size[0])


def build_train_transform(spec: InputSpec, augment: str, erase: float = 0.0) -> Transform:
    """Build the transform for training.

    Large photos are first shrunk so that the smallest possible crop is as large as the input.

    Args:
        spec: Input of the backbone.
        augment: ``crop-flip`` for a random resized crop and a random horizontal flip; ``trivial`` or ``rand`` for
            TrivialAugment or RandAugment on top of that; ``none`` for the eval transform.
        erase: Probability that a random rectangle of an image is erased.

    Raises:
        OptionError: If there is no augmentation of that name, or if it is not defined for the channels of the input.
    """
    if augment not in AUGMENTS:
        raise OptionError(f"there is no augmentation {augment!r}; choose one of {', '.join(AUGMENTS)}.")
    if augment == "none":
        return build_eval_transform(spec)
    if augment != "crop-flip" and spec.size[0] not in (GRAY, RGB):
        raise OptionError(
            f"`augment` {augment} changes colors, which images with {spec.size[0]} channels do not have; set it to "
            "crop-flip or none."
        )
    ops: Sequence[Crop] = (*_list_random_ops(augment), RandomErasing(erase))
    return Transform(partial(_limit_size, spec), partial(_augment, spec, ops), Normalize(spec), spec.bits, spec.size[0])


def _list_random_ops(augment: str) -> Sequence[Crop]:
    """Return the random operations of an augmentation, after cropping and flipping."""
    if augment == "crop-flip":
        return ()
    from zoo.data.augment import RAND_AUGMENT, TRIVIAL_AUGMENT  # imports torchvision, which nothing else here needs

    return (RAND_AUGMENT if augment == "rand" else TRIVIAL_AUGMENT,)


def _resize_and_crop(spec: InputSpec, image: Tensor) -> Tensor:
    image = fit_channels(image, spec.size[0])
    if spec.crop == "squash":
        image = resize(image, spec.squashed, spec.interpolation)
    elif spec.crop == "border":
        image = _limit_aspect(image)
        image = _pad(spec, _rescale(spec, image, spec.resize / max(image.shape[-2:])))
    else:
        image = resize_shorter(_limit_aspect(image), spec.resize, spec.interpolation)
    return crop_center(image, spec.size[1:])


def _augment(spec: InputSpec, ops: Sequence[Crop], pixels: Tensor, generator: torch.Generator) -> Tensor:
    """Crop and flip at random, then apply ``ops``. The arithmetic is torchvision's."""
    top, left, height, width = draw_box(pixels.shape[-2], pixels.shape[-1], generator)
    pixels = resize(pixels[:, top : top + height, left : left + width], spec.size[1:], spec.interpolation)
    if torch.rand((), generator=generator).item() < 0.5:
        pixels = pixels.flip(-1)
    for op in ops:
        pixels = op(pixels, generator)
    return pixels


def draw_box(height: int, width: int, generator: torch.Generator) -> tuple[int, int, int, int]:
    """Choose a random crop, and return its top, left, height and width in pixels.

    Its area is a fraction of the image within `CROP_SCALE`, and its aspect ratio is between 3:4 and 4:3. If no crop
    fits after several tries, the center is used. torchvision's own function would use the global generator, which
    threads share. Source: Szegedy et al. 2014, arXiv:1409.4842, as torchvision implements it.
    """
    for _ in range(_TRIES):
        fraction, shape, down, across = torch.rand(4, generator=generator).tolist()
        area = height * width * (CROP_SCALE[0] + fraction * (CROP_SCALE[1] - CROP_SCALE[0]))
        ratio = math.exp((2 * shape - 1) * math.log(_MAX_CROP_ASPECT))
        crop_width, crop_height = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if 0 < crop_width <= width and 0 < crop_height <= height:
            top, left = int(down * (height - crop_height + 1)), int(across * (width - crop_width + 1))
            return top, left, crop_height, crop_width
    crop_width = min(width, round(height * _MAX_CROP_ASPECT))
    crop_height = min(height, round(width * _MAX_CROP_ASPECT))
    return (height - crop_height) // 2, (width - crop_width) // 2, crop_height, crop_width


def _limit_size(spec: InputSpec, image: Tensor) -> Tensor:
    """Fit the channels, and shrink a large image so that the smallest possible random crop is as large as the input."""
    image, shorter = fit_channels(image, spec.size[0]), min(image.shape[-2:])
    limit = math.ceil(max(spec.size[1:]) / math.sqrt(CROP_SCALE[0]))
    return image if shorter <= limit else _rescale(spec, image, limit / shorter)


def _limit_aspect(image: Tensor) -> Tensor:
    """Crop both ends of an extremely elongated image."""
    height, width = image.shape[-2:]
    limit = MAX_ASPECT * min(height, width)
    return crop_center(image, (min(height, limit), min(width, limit)))


def _rescale(spec: InputSpec, image: Tensor, factor: float) -> Tensor:
    """Resize both sides by a factor. The sides are rounded, as in timm; torchvision would truncate them."""
    return resize(image, [max(round(factor * side), 1) for side in image.shape[-2:]], spec.interpolation)


def _pad(spec: InputSpec, image: Tensor) -> Tensor:
    """Pad an image on all sides with the mean color, up to the size of the input."""
    missing = [max(wanted - side, 0) for wanted, side in zip(spec.size[1:], image.shape[-2:], strict=True)]
    return pad(image, missing, [round(255 * mean) for mean in spec.mean])
