"""Batch norms that compare the images of all processes, and not only those of their own.

The layers stay upstream's own, whatever their class: it is the function that all of them call which is answered.
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
    """Lets batch norms that learn take their statistics over a batch as a whole.

    Source: Peng et al. 2017, arXiv:1711.07240, as torch's SyncBatchNorm does it, which is for GPUs alone and would take
    the place of the layers.
    """

    def __init__(self, world: World) -> None:
        self._world = world
        self._groups: dict[int, Any] = {}

    @contextmanager
    def among(self, sharing: int) -> Iterator[None]:
        """Share statistics between the first so many processes, which have images, until the block is over.

        All processes call it, those without images as well.
        """
        if sharing == 1:
            yield
            return
        if sharing not in self._groups:
            # All of them are the group that torch takes where none is named.
            new = partial(dist.new_group, range(sharing), timeout=TIMEOUT)
            self._groups[sharing] = new() if sharing < self._world.size else None
        with _Answering(self._groups[sharing]):
            yield


class _Total(torch.autograd.Function):
    """The sum over the processes of a group; what comes back of it is summed as well, for each has a part in all."""

    @staticmethod
    def forward(ctx: Any, mine: Tensor, group: Any) -> Tensor:
        ctx.group = group
        total = mine.clone()
        dist.all_reduce(total, group=group)
        return total

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        total = gradient.clone()
        dist.all_reduce(total, group=ctx.group)
        return total, None


class _Answering(TorchFunctionMode):
    """Answers calls of ``batch_norm`` that take the statistics of the batch."""

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
                return self._normalise(**call)
        return func(*args, **(kwargs or {}))

    def _normalise(  # noqa: PLR0913, PLR0917  # torch's own signature
        self,
        input: Tensor,  # noqa: A002  # torch's name
        running_mean: Tensor | None,
        running_var: Tensor | None,
        weight: Tensor | None = None,
        bias: Tensor | None = None,
        training: bool = True,  # noqa: FBT001, FBT002, ARG002  # torch's own
        momentum: float = 0.1,
        eps: float = 1e-5,
    ) -> Tensor:
        """Normalise (N, C, ...) by the mean and variance of each channel over the images of all processes."""
        around = [1, -1, *[1] * (input.ndim - 2)]
        over = [0, *range(2, input.ndim)]
        # Around the mean so far, lest a small variance is lost beside the square of a large mean.
        wide = input.to(torch.promote_types(input.dtype, torch.float32))  # sums of many squares need it
        centre = wide.new_zeros(input.shape[1]) if running_mean is None else running_mean.clone()
        centred = wide - centre.view(around)
        count = wide.new_full((1,), input.numel() / input.shape[1])
        mine = torch.cat([centred.sum(over), centred.square().sum(over), count])
        sums: Tensor = _Total.apply(mine, self._group)
        first, second, total = torch.tensor_split(sums, [len(centre), 2 * len(centre)])
        mean = first / total
        variance = (second / total - mean.square()).clamp_min(0)  # rounding may take it below
        if running_mean is not None and running_var is not None:
            with torch.no_grad():
                running_mean.lerp_(centre + mean, momentum)
                running_var.lerp_(variance * total / (total - 1), momentum)
        scale = torch.rsqrt(variance + eps) * (1 if weight is None else weight)
        normalised = (centred - mean.view(around)) * scale.view(around)
        shifted: Tensor = normalised if bias is None else normalised + bias.view(around)
        return shifted.to(input.dtype)
