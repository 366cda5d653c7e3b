"""Batch norms that compute their statistics over the images of all processes.

The layers are not replaced. Instead, their calls to ``batch_norm`` are intercepted, so layers of any class work.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from zoo.engine.distributed.process_group import TIMEOUT
from zoo.engine.distributed.world import World


class SharedNorms:
    """Synchronization of batch norms, which then use the statistics of the full batch in train mode.

    Source: Peng et al. 2017, arXiv:1711.07240. torch's SyncBatchNorm does the same, but it works only on GPUs and would
    replace the layers.
    """

    def __init__(self, world: World) -> None:
        self._world = world
        self._groups: dict[int, Any] = {}

    @contextmanager
    def among(self, sharing: int) -> Iterator[None]:
        """Return a context that synchronizes batch norm statistics across the first ``sharing`` processes.

        All processes must call this.

        Args:
            sharing: Number of processes that have images.
        """
        if sharing == 1:
            yield
            return
        if sharing not in self._groups:
            # None is torch's default group, which contains all processes.
            new = partial(dist.new_group, range(sharing), timeout=TIMEOUT)
            self._groups[sharing] = new() if sharing < self._world.size else None
        with _SyncedBatchNorm(self._groups[sharing]):
            yield


class _AllReduceSum(torch.autograd.Function):
    """The sum over the processes of a group. Its gradient is summed too, because each input is part of every output."""

    @staticmethod
    def forward(ctx: Any, tensor: Tensor, group: Any) -> Tensor:
        ctx.group = group
        total = tensor.clone()
        dist.all_reduce(total, group=group)
        return total

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        total = gradient.clone()
        dist.all_reduce(total, group=ctx.group)
        return total, None


class _SyncedBatchNorm(TorchFunctionMode):
    """A mode that replaces calls to ``batch_norm`` that use batch statistics."""

    def __init__(self, group: Any) -> None:
        super().__init__()
        self._group = group

    def __torch_function__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        if func is functional.batch_norm:
            names = ("input", "running_mean", "running_var", "weight", "bias", "training", "momentum", "eps")
            call = {**dict(zip(names, args, strict=False)), **(kwargs or {})}
            if call.get("training"):
                return self._normalize(**call)
        return func(*args, **(kwargs or {}))

    def _normalize(  # noqa: PLR0913, PLR0917  # torch's signature
        self,
        input: Tensor,  # noqa: A002  # torch's name
        running_mean: Tensor | None,
        running_var: Tensor | None,
        weight: Tensor | None = None,
        bias: Tensor | None = None,
        training: bool = True,  # noqa: FBT001, FBT002, ARG002  # torch's signature
        momentum: float = 0.1,
        eps: float = 1e-5,
    ) -> Tensor:
        """Normalize (N, C, ...) by the mean and variance of each channel over the images of all processes."""
        channel_shape = [1, -1, *[1] * (input.ndim - 2)]
        other_dims = [0, *range(2, input.ndim)]
        wide = input.to(torch.promote_types(input.dtype, torch.float32))  # half precision cannot sum many squares
        # Subtracting the running mean first keeps a small variance from being rounded away next to a large mean.
        center = wide.new_zeros(input.shape[1]) if running_mean is None else running_mean.clone()
        centered = wide - center.view(channel_shape)
        count = wide.new_full((1,), input.numel() / input.shape[1])
        sums = torch.cat([centered.sum(other_dims), centered.square().sum(other_dims), count])
        totals: Tensor = _AllReduceSum.apply(sums, self._group)
        first, second, total = torch.tensor_split(totals, [len(center), 2 * len(center)])
        mean = first / total
        variance = (second / total - mean.square()).clamp_min(0)  # rounding may make it negative
        if running_mean is not None and running_var is not None:
            with torch.no_grad():
                running_mean.lerp_(center + mean, momentum)
                running_var.lerp_(variance * total / (total - 1), momentum)
        scale = torch.rsqrt(variance + eps) * (1 if weight is None else weight)
        normalized = (centered - mean.view(channel_shape)) * scale.view(channel_shape)
        shifted: Tensor = normalized if bias is None else normalized + bias.view(channel_shape)
        return shifted.to(input.dtype)
