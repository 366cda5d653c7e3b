"""The convolutions that take the channels of an image, found by building a model for two numbers of channels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from zoo_transformers.building import Upstream, find_image_config
from zoo_transformers.quiet import quiet_transformers

if TYPE_CHECKING:
    from zoo_transformers.architecture import Architecture

#: Numbers of channels that a model must accept after its first convolutions are adapted.
OTHERS = (1, 5)


def find_first_convs(architecture: Architecture, size: tuple[int, int, int]) -> tuple[str, ...]:
    """Return the paths of the convolutions of the image, or nothing if adapting them is not enough.

    The forward passes of many models compare the images with the number of channels in the configuration. Such a model
    does not accept other images, even if its first convolution does.
    """
    channels, *sides = size
    if getattr(find_image_config(Upstream(architecture).make_config(2)), "num_channels", None) != channels:
        return ()
    shapes, others = (_list_shapes(architecture, count) for count in (channels, OTHERS[0]))
    weights = [name for name, shape in shapes.items() if shape != others[name]]
    paths = tuple(name.removesuffix(".weight") for name in weights)
    accepts = all(_accepts(architecture, paths, (count, *sides)) for count in OTHERS)
    return paths if accepts else ()


def _build(architecture: Architecture, channels: int | None = None) -> Any:
    upstream = Upstream(architecture)
    config = upstream.make_config(2)
    if channels is not None:
        find_image_config(config).num_channels = channels
    with quiet_transformers(), torch.device("meta"):
        return upstream.model_class(config)


def _list_shapes(architecture: Architecture, channels: int) -> dict[str, torch.Size]:
    return {name: own.shape for name, own in _build(architecture, channels).named_parameters()}


def _accepts(architecture: Architecture, paths: tuple[str, ...], size: tuple[int, ...]) -> bool:
    """Return whether a model whose first convolutions are adapted accepts images with other channels."""
    model = _build(architecture)
    for path in paths:
        layer = dict(model.named_modules()).get(path)
        if not isinstance(layer, nn.Conv2d) or layer.groups != 1:
            return False
        outputs, _, *kernel = layer.weight.shape
        layer.weight = nn.Parameter(layer.weight.new_empty(outputs, size[0], *kernel))
        layer.in_channels = size[0]
    try:
        with torch.no_grad(), quiet_transformers():
            model.eval()(torch.zeros(2, *size, device="meta"))
    except (RuntimeError, ValueError):
        return False
    return bool(paths)
