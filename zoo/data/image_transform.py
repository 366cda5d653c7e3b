"""The preprocessing of a single image, from a file or from memory to the input of a model."""

from __future__ import annotations

from dataclasses import dataclass
from os import PathLike
from typing import TYPE_CHECKING, Any

from zoo.data.decode import decode_image
from zoo.data.memory_images import build_memory_image, is_memory_image
from zoo.errors import DataError
from zoo.files.paths import expand_user

if TYPE_CHECKING:
    from torch import Tensor

    from zoo.data.transform import Transform


@dataclass(frozen=True)
class ImageTransform:
    """The preprocessing that a model expects: decode, rotate, resize, crop and normalize."""

    #: The steps after decoding.
    steps: Transform

    def __call__(self, image: Any) -> Tensor:
        """Return the input of the model for an image, float32 of shape (C, H, W).

        Args:
            image: Path of an image, the bytes of an image file, a file object, a PIL image, a uint8 array of shape
                (height, width, 3) or (height, width), or a uint8 tensor of shape (3, height, width) or
                (1, height, width). With other channels than 1 and 3, they have these channels.

        Raises:
            DataError: If the image cannot be read or decoded, or has another type or shape.
        """
        if isinstance(image, (str, PathLike)):
            return self.steps(decode_image(expand_user(image), self.steps.bits, self.steps.channels))
        if not is_memory_image(image):
            raise DataError(
                f"cannot use a {type(image).__name__} as an image; pass a path, bytes, a file object, a PIL image, "
                "a NumPy array or a tensor."
            )
        item = build_memory_image(image, 0, self.steps.channels)
        try:
            with item.decoded(self.steps.bits, self.steps.channels) as found:
                return self.steps(found.pixels)
        except DataError as error:
            raise DataError(f"cannot use the image: {error}.") from error
