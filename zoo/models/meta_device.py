"""Build models on torch's meta device, where tensors have a shape but no values."""

from __future__ import annotations

from torch import nn

from zoo.models.build import build_model
from zoo.models.on_meta import make_on_meta
from zoo.plugin import BackboneSpec
from zoo.plugin.capabilities import needs_cpu


def build_on_meta(backbone: BackboneSpec, tag: str | None = None, channels: int | None = None) -> nn.Module:
    """Build upstream's model on the meta device, which is fast and needs no memory for its weights.

    A backbone that declares ``meta`` unsupported is built on the CPU instead.

    Args:
        backbone: The backbone.
        tag: Tag of the weights that will be loaded, or None.
        channels: Number of channels to which the model is adapted; None means its own.

    Raises:
        PluginError: If it cannot be built in either of the ways that `make_on_meta` tries.
    """
    if needs_cpu(backbone):
        return build_model(backbone, tag, channels)
    return make_on_meta(lambda: build_model(backbone, tag, channels))
