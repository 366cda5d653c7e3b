"""Where a model looks: how much each place of an image contributes to the logit of the predicted class."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn

#: Number of outputs to which the backward pass first goes, and the factor by which it then grows.
_FIRST, _GROWTH = 4, 4


def compute_saliency(model: nn.Module, images: Tensor) -> Tensor:
    """Compute the gradient times the features at the last layer with spatial positions.

    This is the layer-wise "gradient x activation" (Ancona et al. 2018), summed over the channels. Negative values,
    which speak against the class, become 0. Feature maps and the tokens of transformers are supported.

    Args:
        model: Model in eval mode. Its parameters and their gradients do not change.
        images: Normalized images of shape (N, C, H, W).

    Returns:
        Values from 0 to 1 of shape (N, H, W), on the CPU. They are 0 everywhere for an image without such features.
    """
    outputs: list[Tensor] = []

    def keep(_module: nn.Module, _inputs: object, output: object) -> None:
        if isinstance(output, Tensor) and output.requires_grad and _has_positions(output, len(images)):
            outputs.append(output)

    hooks = [module.register_forward_hook(keep) for module in model.modules()]
    try:
        with torch.enable_grad():
            logits: Tensor = model(images.detach().requires_grad_())
            chosen = logits.max(1).values.sum()
    finally:
        for hook in hooks:
            hook.remove()
    for output, gradient in _list_gradients(chosen, outputs[::-1] if chosen.requires_grad else []):
        if _reaches_positions(gradient):
            return _enlarge(_make_map(output.detach().float() * gradient.float()), images)
    return torch.zeros(len(images), *images.shape[2:])


def _list_gradients(chosen: Tensor, outputs: Sequence[Tensor]) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield each output that has a gradient, with the gradient.

    The backward pass first goes only as far as a few outputs, because one of them is usually enough. For MobileNetV2,
    the saliency takes a fourth of the processor time that it would take with the full backward pass.
    """
    first, count = 0, _FIRST
    while some := outputs[first : first + count]:
        gradients = torch.autograd.grad(chosen, some, retain_graph=True, allow_unused=True)
        yield from ((output, found) for output, found in zip(some, gradients, strict=True) if found is not None)
        first, count = first + count, _GROWTH * count


def _has_positions(output: Tensor, count: int) -> bool:
    """Return whether an output is a feature map (N, C, H, W) or (N, H, W, C), or tokens (N, T, C)."""
    return len(output) == count and (
        (output.ndim == 4 and output[0].numel() > max(output.shape[1:])) or (output.ndim == 3 and output.shape[1] > 3)
    )


def _reaches_positions(gradient: Tensor) -> bool:
    """Return whether there is a gradient in several places, not only in a class token."""
    return int((_make_map(gradient.abs()) > 0).sum(dim=(1, 2)).max()) > 1


def _make_map(values: Tensor) -> Tensor:
    """Sum values over the channels; return shape (N, h, w)."""
    if values.ndim == 3:  # Tokens of a square of patches, after class and register tokens.
        side = math.isqrt(values.shape[1])
        return values[:, values.shape[1] - side * side :].sum(2).reshape(-1, side, side)
    is_channels_last = values.shape[1] == values.shape[2] != values.shape[3]
    return values.sum(3 if is_channels_last else 1)


def _enlarge(maps: Tensor, images: Tensor) -> Tensor:
    positive = maps.float().clamp(min=0)
    largest = positive.amax(dim=(1, 2), keepdim=True)
    scaled = positive / largest.where(largest > 0, 1)
    size = tuple(images.shape[2:])
    return nn.functional.interpolate(scaled[:, None], size=size, mode="bilinear", antialias=False)[:, 0].cpu()
