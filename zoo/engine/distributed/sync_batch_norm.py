"""Batch norms that compute their statistics over the images of all processes.

torch's ``SyncBatchNorm`` would replace the layers, and with them the activation in timm's batch norms. Here, the layers
stay, and their calls to ``batch_norm`` are intercepted. torch's own function then computes them on GPUs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torch.nn import functional
from torch.nn.modules._functions import SyncBatchNorm
from torch.overrides import TorchFunctionMode

#: The arguments of ``batch_norm`` in order, and those of torch's synchronized function.
_CALLED = ("input", "running_mean", "running_var", "weight", "bias", "training", "momentum", "eps")
_SYNCED = ("input", "weight", "bias", "running_mean", "running_var", "eps", "momentum")


class SyncedBatchNorm(TorchFunctionMode):
    """A mode in which batch norms in train mode use the statistics of the full batch. Every process needs images.

    Source: Peng et al. 2017, arXiv:1711.07240.
    """

    def __torch_function__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        if func is functional.batch_norm:
            call = {"momentum": 0.1, "eps": 1e-5, **dict(zip(_CALLED, args, strict=False)), **(kwargs or {})}
            if call.get("training"):
                values = [call.get(name) for name in _SYNCED]
                if call["input"].is_cuda:
                    return SyncBatchNorm.apply(*values, dist.group.WORLD, dist.get_world_size())
                return _normalize(*values)
        return func(*args, **(kwargs or {}))


class _Sum(torch.autograd.Function):
    """The sum over all processes. Its gradient is summed too, because each input is part of every output."""

    @staticmethod
    def forward(ctx: Any, tensor: Tensor) -> Tensor:  # noqa: ARG004  # torch's signature
        total = tensor.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:  # noqa: ARG004  # torch's signature
        return _Sum.apply(gradient)  # type: ignore[no-any-return]  # torch does not annotate it


def _normalize(*values: Any) -> Tensor:
    """Normalize (N, C, ...) on a CPU, for which torch has no such function; the arguments are `_SYNCED`."""
    images, weight, bias, running_mean, running_var, eps, momentum = values
    channel_shape = [1, -1, *[1] * (images.ndim - 2)]
    other_dims = [0, *range(2, images.ndim)]
    wide = images.to(torch.promote_types(images.dtype, torch.float32))  # half precision cannot sum many squares
    # Subtracting the running mean first keeps a small variance from being rounded away next to a large mean.
    center = wide.new_zeros(images.shape[1]) if running_mean is None else running_mean.clone()
    centered = wide - center.view(channel_shape)
    count = wide.new_full((1,), images.numel() / images.shape[1])
    totals: Tensor = _Sum.apply(torch.cat([centered.sum(other_dims), centered.square().sum(other_dims), count]))
    first, second, total = torch.tensor_split(totals, [len(center), 2 * len(center)])
    mean = first / total
    variance = (second / total - mean.square()).clamp_min(0)  # rounding may make it negative
    if running_mean is not None:
        with torch.no_grad():
            running_mean.lerp_(center + mean, momentum)
            running_var.lerp_(variance * total / (total - 1), momentum)
    scale = torch.rsqrt(variance + eps) * (1 if weight is None else weight)
    normalized: Tensor = (centered - mean.view(channel_shape)) * scale.view(channel_shape)
    shifted = normalized if bias is None else normalized + bias.view(channel_shape)
    return shifted.to(images.dtype)
