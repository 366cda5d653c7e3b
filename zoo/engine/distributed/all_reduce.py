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
    """Send tensors in buckets, each on its way while the next is filled, and put back what comes."""
    coming: tuple[list[Tensor], Tensor, dist.Work | None] | None = None
    for bucket in _fill_buckets(tensors):
        flat = torch.cat([tensor.detach().reshape(-1) for tensor in bucket])
        sent = (bucket, flat, send(flat, async_op=True))
        if coming:
            _receive(*coming)
        coming = sent
    if coming:
        _receive(*coming)


def _receive(bucket: Sequence[Tensor], flat: Tensor, work: dist.Work | None) -> None:
    if work is not None:
        work.wait()
    parts = torch.split(flat, [tensor.numel() for tensor in bucket])
    for tensor, part in zip(bucket, parts, strict=True):
        tensor.copy_(part.view(tensor.shape))


def send_from(source: int, flat: Tensor, *, async_op: bool) -> dist.Work | None:
    """Send what one process has, as bytes, which go whatever they mean."""
    return dist.broadcast(flat.view(torch.uint8), source, async_op=async_op)


def _fill_buckets(tensors: Sequence[Tensor]) -> Iterator[list[Tensor]]:
    """Yield tensors of one dtype and device together, as many as are sent at a time."""
    kinds: dict[tuple[torch.dtype, torch.device], tuple[list[Tensor], int]] = {}
    for tensor in tensors:
        if not tensor.numel():
            continue
        kind = (tensor.dtype, tensor.device)
        bucket, size = kinds.pop(kind, ([], 0))
        bucket.append(tensor)
        if size + tensor.nbytes >= BUCKET:
            yield bucket
        else:
            kinds[kind] = (bucket, size + tensor.nbytes)
    yield from (bucket for bucket, _ in kinds.values())
