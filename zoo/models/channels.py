"""Adapt a network to images with another number of channels: its first convolution gets new weights in place."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn

from zoo.errors import OptionError, PluginError
from zoo.plugin import BackboneSpec
from zoo.plugin.capabilities import list_first_convs

#: Number of paths that a message lists.
_SHOWN = 3


def refuse_channels(backbone: BackboneSpec, expected: int, channels: int | None) -> None:
    """Refuse a number of channels that a backbone cannot be adapted to, before it is built.

    Args:
        backbone: The backbone.
        expected: Number of channels that its weights expect.
        channels: Number of channels of the images; None means ``expected``.

    Raises:
        OptionError: If the backbone would have to be adapted, but does not have the capability ``channels``.
    """
    if channels in (None, expected) or "channels" in backbone.supports:
        return
    reason = backbone.unsupported.get("channels", "its plugin does not declare its first convolution")
    raise OptionError(
        f"{backbone.name} cannot be adapted to {channels} channels: {reason}; omit `channels` to use images with "
        f"{expected}, or choose another backbone."
    )


def adapt_channels(backbone: BackboneSpec, model: nn.Module, channels: int) -> None:
    """Adapt the first convolutions of a model in place to images with another number of channels.

    The layers stay the same objects, under the same names. For one channel, their weights are summed over the channels,
    so that a gray image gives the same output as before, when it was repeated for each channel. For more channels, the
    weights are repeated, and scaled so that their sum stays the same if the number is a multiple. This is what timm
    does with ``in_chans``.

    Raises:
        PluginError: If a declared path does not name a convolution of the image.
    """
    for layer in get_first_convs(backbone, model).values():
        weight = layer.weight
        layer.weight = nn.Parameter(adapt_weight(weight.detach(), channels), weight.requires_grad)
        layer.in_channels = channels


def adapt_weight(weight: Tensor, channels: int) -> Tensor:
    """Return the weight of a convolution, of shape (outputs, old channels, height, width), for new channels."""
    old = weight.shape[1]
    if old == channels:
        return weight
    wide = weight.to(torch.promote_types(weight.dtype, torch.float32))  # Sums in half precision are not exact.
    if channels == 1:
        return wide.sum(1, keepdim=True).to(weight.dtype)
    repeats = -(-channels // old)
    return (wide.repeat(1, repeats, 1, 1)[:, :channels] * (old / channels)).to(weight.dtype)


def get_first_convs(backbone: BackboneSpec, model: nn.Module) -> Mapping[str, nn.Conv2d]:
    """Return the layers that take the channels of an image, by their paths.

    Raises:
        PluginError: If a declared path does not name an nn.Conv2d with a plain weight, without groups.
    """
    layers = dict(model.named_modules())
    found = {}
    for path in list_first_convs(backbone):
        layer = layers.get(path)
        if not isinstance(layer, nn.Conv2d):
            what = f"which is a {type(layer).__name__}" if layer is not None else "but its model has no such layer"
            convs = [name for name, module in layers.items() if isinstance(module, nn.Conv2d)]
            raise PluginError(
                f"{backbone.name} declares the first convolution {path!r}, {what}; its convolutions include "
                f"{', '.join(_list_near(path, convs)) or 'none'}."
            )
        if layer.groups != 1 or layer.weight is not dict(layer.named_parameters(recurse=False)).get("weight"):
            raise PluginError(
                f"{backbone.name} declares the first convolution {path!r}, which has groups or a computed weight; "
                "declare channels in `unsupported`."
            )
        found[path] = layer
    return found


def _list_near(path: str, paths: Iterable[str]) -> list[str]:
    """Return the first path in the order of the model, and the ones that are most similar."""
    known = [*paths]
    near = difflib.get_close_matches(path, known, n=_SHOWN, cutoff=0.0)
    return list(dict.fromkeys([*known[:1], *near]))[:_SHOWN]
