"""What happens to an image between the disk and the backbone, at evaluation and in training."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor, nn
from torchvision.transforms import InterpolationMode, v2  # type: ignore[import-untyped]  # torchvision has no types
from torchvision.transforms.v2 import functional  # type: ignore[import-untyped]  # the same

from zoo.data.augment import RAND, TRIVIAL, Erase
from zoo.errors import DataError, OptionError
from zoo.registry.recipe import AUGMENTS

if TYPE_CHECKING:
    from zoo.plugin import InputSpec

#: From decoded pixels, uint8 of shape (3, H, W), to those that are wanted again and again; draws nothing.
Reduce = Callable[[Tensor], Tensor]
#: From reduced pixels, uint8 of shape (3, H, W), to uint8 of shape (3, height, width); what is random comes from the
#: generator.
Crop = Callable[[Tensor, torch.Generator], Tensor]


#: The least share of the image's area that a random crop keeps: fastai's ``min_scale``. ImageNet's own 0.08 suits
#: millions of images, not hundreds.
CROP_SCALE = (0.35, 1.0)
#: Sides longer than this many times the other are cut before resizing: a line of 1 x 65000 pixels would grow to 12 GB.
MAX_ASPECT = 20

#: The widest part that is cut out, width by height; the narrowest one is as high.
_WIDEST = 4 / 3
_TRIES = 10

_INTERPOLATIONS = {
    "nearest": InterpolationMode.NEAREST_EXACT,  # what Pillow calls nearest, so what published weights saw
    "bilinear": InterpolationMode.BILINEAR,
    "bicubic": InterpolationMode.BICUBIC,
}


@dataclass(frozen=True)
class Transform:
    """What is done to each image once; then at random; then to a whole batch, where the network is."""

    reduce: Reduce
    #: None where nothing is random.
    crop: Crop | None
    normalise: Normalise

    def __call__(self, pixels: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """From one image's pixels to float32 of shape (3, height, width)."""
        reduced = self.reduce(pixels)
        return self.normalise(self.crop(reduced, generator or torch.default_generator) if self.crop else reduced)


class Normalise:
    """From uint8 of shape (3, H, W) or (N, 3, H, W) to float32 around zero."""

    def __init__(self, spec: InputSpec) -> None:
        mean, std = (torch.tensor(values)[:, None, None] for values in (spec.mean, spec.std))
        # (x / 255 - mean) / std in one pass. By device: copying to one waits for it, and threads share this object.
        self._constants = {torch.device("cpu"): (1 / (255 * std), -mean / std)}

    def __call__(self, images: Tensor) -> Tensor:
        """Normalise, on whichever device the images are."""
        device = images.device
        if device not in self._constants:
            scale, shift = self._constants[torch.device("cpu")]
            self._constants[device] = scale.to(device), shift.to(device)
        scale, shift = self._constants[device]
        return torch.addcmul(shift, images.float(), scale)


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
    return Transform(_Steps((*steps, v2.CenterCrop(spec.size[1:]))), None, Normalise(spec))


def build_train_transform(spec: InputSpec, augment: str, erase: float = 0.0) -> Transform:
    """Build the transform for training.

    ``crop-flip`` cuts out and resizes a random part and mirrors every second one; ``trivial`` and ``rand`` change what
    they see of it besides; ``none`` is the eval transform. ``erase`` is how likely a part is blotted out. Large photos
    are first made so small that the smallest part is of the size of the input: more than that no part shows.

    Raises:
        DataError: the input has another number of channels than 3.
        OptionError: there is no such augmentation.
    """
    if augment not in AUGMENTS:
        raise OptionError(f"there is no augmentation {augment!r}; there are {', '.join(AUGMENTS)}.")
    if augment == "none":
        return build_eval_transform(spec)
    _check_channels(spec)
    blot = (Erase(erase),) if erase else ()
    crop = _Changes((_CropFlip(spec), *_CHANGES[augment], *blot))
    return Transform(_Steps((_LimitSides(spec),)), crop, Normalise(spec))


def _check_channels(spec: InputSpec) -> None:
    if spec.size[0] != 3:
        raise DataError(f"the backbone wants images of {spec.size[0]} channels; only RGB, that is 3, can be prepared.")


@dataclass(frozen=True)
class _Steps:
    """Steps that draw nothing."""

    steps: tuple[nn.Module, ...]

    def __call__(self, pixels: Tensor) -> Tensor:
        for step in self.steps:
            pixels = step(pixels)
        return pixels


@dataclass(frozen=True)
class _Changes:
    """Changes at random, one after the other."""

    changes: tuple[Crop, ...]

    def __call__(self, pixels: Tensor, generator: torch.Generator) -> Tensor:
        for change in self.changes:
            pixels = change(pixels, generator)
        return pixels


#: What `AUGMENTS` do besides cutting out and mirroring.
_CHANGES: Mapping[str, tuple[Crop, ...]] = {"crop-flip": (), "trivial": (TRIVIAL,), "rand": (RAND,)}


class _CropFlip:
    """Cuts out a part of random size, shape and place, resizes it, and mirrors every second one.

    The arithmetic is torchvision's; the numbers come from a generator of the caller's, as threads share torch's own.
    """

    def __init__(self, spec: InputSpec) -> None:
        self._size = list(spec.size[1:])
        self._interpolation = _INTERPOLATIONS[spec.interpolation]

    def __call__(self, pixels: Tensor, generator: torch.Generator) -> Tensor:
        top, left, height, width = draw_box(pixels.shape[-2], pixels.shape[-1], generator)
        cropped = functional.resized_crop(
            pixels, top, left, height, width, self._size, interpolation=self._interpolation, antialias=True
        )
        is_mirrored = torch.rand((), generator=generator).item() < 0.5
        return cast("Tensor", functional.horizontal_flip(cropped) if is_mirrored else cropped)


def draw_box(height: int, width: int, generator: torch.Generator) -> tuple[int, int, int, int]:
    """Draw the top, left, height and width of a part of an image.

    Its area is a share of the whole between `CROP_SCALE`, its shape between 3:4 and 4:3; where no such part fits after
    some tries, the middle is taken. Source: Szegedy et al. 2014, arXiv:1409.4842, as torchvision does it.
    """
    for _ in range(_TRIES):
        share, shape, down, across = torch.rand(4, generator=generator).tolist()
        area = height * width * (CROP_SCALE[0] + share * (CROP_SCALE[1] - CROP_SCALE[0]))
        ratio = math.exp((2 * shape - 1) * math.log(_WIDEST))
        wide, high = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if 0 < wide <= width and 0 < high <= height:
            return int(down * (height - high + 1)), int(across * (width - wide + 1)), high, wide
    wide, high = min(width, round(height * _WIDEST)), min(height, round(width * _WIDEST))
    return (height - high) // 2, (width - wide) // 2, high, wide


class _LimitSides(nn.Module):
    """Shrinks an image until the smallest part that is cut out is of the size of the input."""

    def __init__(self, spec: InputSpec) -> None:
        super().__init__()
        self._shorter = math.ceil(max(spec.size[1:]) / math.sqrt(CROP_SCALE[0]))
        self._interpolation = _INTERPOLATIONS[spec.interpolation]

    def forward(self, image: Tensor) -> Tensor:
        height, width = image.shape[-2:]
        if min(height, width) <= self._shorter:
            return image
        scale = self._shorter / min(height, width)
        size = [round(height * scale), round(width * scale)]
        resized = functional.resize(image, size, interpolation=self._interpolation, antialias=True)
        return cast("Tensor", resized)


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
