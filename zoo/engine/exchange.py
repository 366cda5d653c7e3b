"""Tensors that processes send each other, many at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import torch
import torch.distributed as dist
from torch import Tensor

#: Bytes that are sent at a time.
BUCKET = 2**25


@torch.no_grad()
def exchange(tensors: Sequence[Tensor], send: Callable[..., dist.Work | None]) -> None:
    """Send them in buckets, each on its way while the next is filled."""
    sent = []
    for bucket in _fill_buckets(tensors):
        flat = torch.cat([tensor.detach().reshape(-1) for tensor in bucket])
        sent.append((bucket, flat, send(flat, async_op=True)))
    for bucket, flat, work in sent:
        if work is not None:
            work.wait()
        parts = torch.split(flat, [tensor.numel() for tensor in bucket])
        for tensor, part in zip(bucket, parts, strict=True):
            tensor.copy_(part.view(tensor.shape))


def send_first(flat: Tensor, *, async_op: bool) -> dist.Work | None:
    """Send what the first process has."""
    # As bytes, which go whatever they mean.
    return dist.broadcast(flat.view(torch.uint8), 0, async_op=async_op)


def _fill_buckets(tensors: Sequence[Tensor]) -> Iterator[list[Tensor]]:
    """Yield tensors of one dtype and device together, as many as are sent at a time."""
    kinds: dict[tuple[torch.dtype, torch.device], list[Tensor]] = {}
    for tensor in tensors:
        if not tensor.numel():
            continue
        bucket = kinds.setdefault((tensor.dtype, tensor.device), [])
        bucket.append(tensor)
        if sum(each.nbytes for each in bucket) >= BUCKET:
            yield kinds.pop((tensor.dtype, tensor.device))
    yield from kinds.values()
