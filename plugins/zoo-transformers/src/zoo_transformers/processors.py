"""What transformers' image processors do, as zoo's `InputSpec`.

Each image processor has its own way of reading its values. The functions here follow the ``_preprocess`` methods in
``transformers/models/*/image_processing_*.py``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from zoo.plugin import InputSpec
from zoo_transformers.architecture import BGR

if TYPE_CHECKING:
    from zoo.plugin import Interpolation
    from zoo_transformers.architecture import Architecture

#: Image processors that zoo only approximates. TextNet's leaves images non-square, so zoo crops their center.
#: Perceiver's crops before it resizes, so it rounds the crop to whole pixels of the original image.
APPROXIMATED = ("TextNetImageProcessor", "PerceiverImageProcessor")
#: Interpolations by PIL's numbers.
INTERPOLATIONS: dict[int, Interpolation] = {0: "nearest", 2: "bilinear", 3: "bicubic"}
#: ConvNeXt's image processor resizes both sides from this size on, and crops below.
FULL_SIZE = 384


def make_processor(architecture: Architecture) -> Any:
    """Return the image processor of an architecture, or None if transformers has none."""
    import transformers

    if architecture.processor is None:
        return None
    return getattr(transformers, architecture.processor)(**architecture.preprocessing)


def get_name(processor: Any) -> str:
    """Return the name of an image processor's class, without the suffix of an implementation."""
    return type(processor).__name__.removesuffix("Fast").removesuffix("Pil")


def flips_channels(processor: Any) -> bool:
    """Return whether an image processor reverses the channels."""
    return get_name(processor) in BGR and getattr(processor, "do_flip_channel_order", True)


def is_exact(processor: Any) -> bool:
    """Return whether `read_input` describes exactly what an image processor does."""
    return get_name(processor) not in APPROXIMATED


def read_input(processor: Any) -> InputSpec:
    """Return the input that an image processor prepares.

    Raises:
        ValueError: If zoo cannot prepare images in that way.
    """
    if processor is None:
        return InputSpec()
    resize, squashes, crop = _read_sizes(processor)
    mean, std = _read_statistics(processor)
    if processor.resample is not None and int(processor.resample) not in INTERPOLATIONS:
        raise ValueError(f"zoo has no interpolation for resample={int(processor.resample)}")
    return InputSpec(
        size=(3, *crop),
        resize=resize,
        crop="squash" if squashes else "center",
        interpolation=INTERPOLATIONS[int(processor.resample)],
        mean=mean,
        std=std,
    )


def _read_sizes(processor: Any) -> tuple[int, bool, tuple[int, int]]:
    """Return the length to which a side is resized, whether both sides are, and the height and width of the crop."""
    name, size = get_name(processor), _to_dict(processor.size)
    edge, height, width = size.get("shortest_edge"), size.get("height", 0), size.get("width", 0)
    crop = _read_crop(processor)
    if not processor.do_resize or (edge is None and (height == 0 or height != width)):
        raise ValueError(f"zoo cannot resize images to {size}")
    if name == "PPLCNetImageProcessor":
        return processor.resize_short, False, crop or (height, height)
    if name == "PerceiverImageProcessor":  # It crops first: the same, apart from rounding.
        assert crop is not None
        return crop[0], False, (height, width)
    if edge is None:
        return height, True, crop or (height, width)
    if name == "ConvNextImageProcessor" and edge >= FULL_SIZE:
        return edge, True, (edge, edge)
    if name == "LevitImageProcessor":
        return int((256 / 224) * edge), False, crop or (edge, edge)
    fraction = getattr(processor, "crop_pct", None) or 1  # of ConvNeXt and PoolFormer
    return int(edge / fraction), False, crop or (edge, edge)


def _read_crop(processor: Any) -> tuple[int, int] | None:
    if not getattr(processor, "do_center_crop", False):
        return None
    crop = _to_dict(processor.crop_size)
    return crop["height"], crop["width"]


def _read_statistics(processor: Any) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return the mean and the standard deviation, for pixels from 0 to 1."""
    if not processor.do_rescale or abs(processor.rescale_factor * 255 - 1) > 1e-6:
        raise ValueError(f"zoo cannot scale pixels by {processor.rescale_factor}")
    if not processor.do_normalize:
        return (0.0,) * 3, (1.0,) * 3
    mean, std = tuple(map(float, processor.image_mean)), tuple(map(float, processor.image_std))
    if get_name(processor) == "EfficientNetImageProcessor" and processor.include_top:
        std = tuple(round(value * value, 8) for value in std)  # It divides by the standard deviation twice.
    return mean, std


def _to_dict(size: Any) -> dict[str, int]:
    return {key: value for key, value in dict(size).items() if value is not None}
