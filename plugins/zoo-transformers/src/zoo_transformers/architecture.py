"""An architecture of transformers: a class and a configuration, as data that can be listed without transformers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

#: Number of outputs of every head as built, regardless of the weights.
NUM_CLASSES = 1000

#: Image processors that reverse the channels, because the networks were trained with BGR images.
BGR = ("MobileViTImageProcessor", "PPLCNetImageProcessor")

#: Which image sizes a model accepts: ``any``, ``fixed`` (only its own), or ``interpolated`` (any, if its forward pass
#: is told to interpolate the position embedding).
Sizes = Literal["any", "interpolated", "fixed"]

Values = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Architecture:
    """A class and a configuration of transformers, and how an image is prepared for it."""

    #: Name of the model's class, such as ``ViTForImageClassification``.
    model: str
    #: Name of the configuration's class, such as ``ViTConfig``.
    config: str
    #: Values of the configuration that differ from the defaults of its class.
    values: Values = field(default_factory=dict, hash=False)
    #: Name of the image processor's class, such as ``ViTImageProcessor``; None if transformers has none.
    processor: str | None = None
    #: Values of the image processor that differ from the defaults of its class.
    preprocessing: Values = field(default_factory=dict, hash=False)
    sizes: Sizes = "any"

    @property
    def constructor(self) -> str:
        """The lines of code that build the model without zoo, with the same hooks as `prepare_inputs`."""
        values = "".join(f"{name}={value!r}, " for name, value in self.values.items())
        lines = [
            f"from transformers import {self.config}, {self.model}",
            f"model = {self.model}({self.config}({values}num_labels={{num_classes}}))",
        ]
        if self.sizes == "interpolated":
            hook = "lambda model, args, options: (args, dict(options, interpolate_pos_encoding=True))"
            lines.append(f"model.register_forward_pre_hook({hook}, with_kwargs=True)")
        if self.reverses_channels:
            lines.append("model.register_forward_pre_hook(lambda model, images: images[0].flip(1))")
        return "\n".join(lines)

    @property
    def reverses_channels(self) -> bool:
        """Whether the network was trained with BGR images."""
        return self.processor in BGR
