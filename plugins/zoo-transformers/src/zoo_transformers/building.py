"""Build models, convert published weights and prepare images: the operations that need transformers.

The callables in the specs of this plugin are methods of `Upstream`. They import transformers only when they are called.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from zoo_transformers.architecture import NUM_CLASSES, Architecture

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from PIL import Image
    from torch import Tensor, nn


@dataclass(frozen=True, slots=True)
class Upstream:
    """A backbone in transformers."""

    architecture: Architecture
    #: Number of outputs of the head in the published file; None if the file has no usable head.
    labels: int | None = NUM_CLASSES

    def build(self, _tag: str | None) -> nn.Module:
        """Build transformers' model offline, with random weights and 1000 outputs."""
        from zoo_transformers.quiet import quiet_transformers

        with quiet_transformers():
            model: nn.Module = self.model_class(self.make_config(NUM_CLASSES))
        return prepare_inputs(model, self.architecture)

    def convert(self, _tag: str, tensors: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """Convert the tensors of a published file to the names of the installed transformers, including the head's.

        The files contain the names of older versions. transformers renames them when it loads a file, adds or removes
        the prefix of the base model, and ignores tensors of other parts, such as a text encoder.

        Raises:
            ValueError: If the tensors belong to a different network.
        """
        from zoo_transformers.loading import load_tensors

        return load_tensors(self.model_class, self.make_config(self.labels or NUM_CLASSES), tensors)

    def preprocessing(self, _tag: str | None) -> Callable[[Image.Image], Tensor] | None:
        """Return transformers' own preprocessing, or None if zoo's input only approximates it."""
        from zoo_transformers.processors import is_exact, make_processor

        processor = make_processor(self.architecture)
        return partial(prepare_image, processor) if processor is not None and is_exact(processor) else None

    def run_files(self, classes: Any, given: Any) -> Mapping[str, Any]:
        """Return the JSON files with which transformers loads a run folder."""
        from zoo_transformers.run_files import make_run_files

        return make_run_files(self.architecture, self.make_config(len(classes)), classes, given)

    def make_config(self, num_labels: int) -> Any:
        """Return the configuration for a number of classes."""
        import transformers

        from zoo_transformers.quiet import quiet_transformers

        config = getattr(transformers, self.architecture.config)
        with quiet_transformers():
            return config.from_dict({**self.architecture.values, "num_labels": num_labels})

    @property
    def model_class(self) -> Any:
        """The class of the model.

        Raises:
            LookupError: If the installed transformers does not have it.
        """
        import transformers

        name = self.architecture.model
        if not hasattr(transformers, name):
            raise LookupError(
                f"the installed transformers {transformers.__version__} has no {name}; install the version that "
                "`zoo info` shows, or choose another backbone."
            )
        return getattr(transformers, name)


def find_image_config(config: Any) -> Any:
    """Return the part of a configuration that describes the network for images, such as that of CLIP."""
    return getattr(config, "vision_config", config)


def prepare_image(processor: Any, image: Image.Image) -> Tensor:
    """Return the tensor of shape (C, H, W) that an image processor makes of an image, with its channels as RGB."""
    from zoo_transformers.processors import flips_channels

    tensor: Tensor = processor(images=image, return_tensors="pt")["pixel_values"][0]
    return tensor.flip(0) if flips_channels(processor) else tensor


def prepare_inputs(model: nn.Module, architecture: Architecture) -> nn.Module:
    """Make a model accept all image sizes that it supports, and RGB images.

    transformers leaves both to the caller: interpolating is an argument of the forward pass, and an image processor
    reverses the channels for the models that were trained with BGR images. Hooks do it here, so the model keeps its
    class and the names of its parameters.
    """
    if architecture.sizes == "interpolated":
        model.register_forward_pre_hook(_interpolate, with_kwargs=True)
    if architecture.reverses_channels:
        model.register_forward_pre_hook(_reverse_channels)
    return model


def _interpolate(_model: nn.Module, args: Any, kwargs: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    return args, {"interpolate_pos_encoding": True, **kwargs}


def _reverse_channels(_model: nn.Module, args: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    return args[0].flip(1), *args[1:]
