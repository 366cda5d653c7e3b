"""Collective operations on lists of tensors, in buckets."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import torch
import torch.distributed as dist
from torch import Tensor

#: Bytes per bucket.
BUCKET = 2**25


@torch.no_grad()
def run_in_buckets(tensors: Sequence[Tensor], send: Callable[..., dist.Work | None]) -> None:
    """Apply a collective operation to tensors in place, bucket by bucket; one is sent while the next is filled.

    Args:
        tensors: Tensors with the same shapes and dtypes in all processes.
        send: Function that starts the operation on a flat tensor; it is called with ``async_op=True``.
    """
    pending: tuple[list[Tensor], Tensor, dist.Work | None] | None = None
    for bucket in _fill_buckets(tensors):
        flat = torch.cat([tensor.detach().reshape(-1) for tensor in bucket])
        sent = (bucket, flat, send(flat, async_op=True))
        if pending:
            _receive(*pending)
        pending = sent
    if pending:
        _receive(*pending)


def _receive(bucket: Sequence[Tensor], flat: Tensor, work: dist.Work | None) -> None:
    if work is not None:
        work.wait()
    received = torch.split(flat, [tensor.numel() for tensor in bucket])
    for tensor, values in zip(bucket, received, strict=True):
        tensor.copy_(values.view(tensor.shape))


def broadcast_from(source: int, flat: Tensor, *, async_op: bool) -> dist.Work | None:
    """Broadcast a tensor from one process, as bytes, so that any dtype can be sent."""
    return dist.broadcast(flat.view(torch.uint8), source, async_op=async_op)


def _fill_buckets(tensors: Sequence[Tensor]) -> Iterator[list[Tensor]]:
    """Yield buckets of tensors that have the same dtype and device."""
    open_buckets: dict[tuple[torch.dtype, torch.device], tuple[list[Tensor], int]] = {}
    for tensor in tensors:
        if not tensor.numel():
            continue
        kind = (tensor.dtype, tensor.device)
        bucket, size = open_buckets.pop(kind, ([], 0))
        bucket.append(tensor)
        if size + tensor.nbytes >= BUCKET:
            yield bucket
        else:
            open_buckets[kind] = (bucket, size + tensor.nbytes)
    yield from (bucket for bucket, _ in open_buckets.values())
