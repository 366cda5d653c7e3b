"""The files with which transformers loads a run folder: the configuration, and that of an image processor."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from zoo_transformers.processors import INTERPOLATIONS, flips_channels, make_processor, read_input

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from zoo.plugin import InputSpec
    from zoo_transformers.architecture import Architecture

#: Names of the files.
CONFIG, PREPROCESSOR = "config.json", "preprocessor_config.json"


def make_run_files(
    architecture: Architecture, config: Any, classes: Sequence[str], given: InputSpec
) -> Mapping[str, Mapping[str, Any]]:
    """Return the files of a run, by name.

    Args:
        architecture: The architecture of the run's model.
        config: Its configuration.
        classes: The names of the classes.
        given: The input of the run, which the user may have changed.
    """
    config.id2label = dict(enumerate(classes))
    config.label2id = {name: place for place, name in enumerate(classes)}
    config.architectures = [architecture.model]
    files = {CONFIG: config.to_dict()}
    if (processor := _find_processor(architecture, given)) is not None:
        files[PREPROCESSOR] = processor
    return files


def _find_processor(architecture: Architecture, given: InputSpec) -> Mapping[str, Any] | None:
    """Return the values of an image processor that prepares images like the run, or None if there is none."""
    own = make_processor(architecture)
    if own is not None and _is_same(read_input(own), given):
        values: Mapping[str, Any] = own.to_dict()
        return values
    if given.crop == "border" or (own is not None and flips_channels(own)):
        return None
    height, width = given.size[1:]
    numbers = {name: number for number, name in INTERPOLATIONS.items()}
    squashes = given.crop == "squash"
    return {
        "image_processor_type": "DeiTImageProcessor" if squashes else "BitImageProcessor",
        "do_resize": True,
        "size": {"height": given.resize, "width": given.resize} if squashes else {"shortest_edge": given.resize},
        "resample": numbers[given.interpolation],
        "do_center_crop": True,
        "crop_size": {"height": height, "width": width},
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": True,
        "image_mean": list(given.mean),
        "image_std": list(given.std),
    }


def _is_same(own: InputSpec, given: InputSpec) -> bool:
    fields = ("size", "resize", "crop", "interpolation", "mean", "std")
    return all(getattr(own, field) == getattr(given, field) for field in fields)
