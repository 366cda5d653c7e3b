"""Which sample comes when, and with which random numbers: functions of the seed, the epoch and the sample alone.

So the number of workers, what they fetch ahead, and the epoch in which a run was taken up again cannot matter: there is
no state that could be lost.
"""

from __future__ import annotations

import hashlib

import torch


def plan_epoch(count: int, *, batch_size: int, seed: int, epoch: int) -> list[list[int]]:
    """Return the batches of an epoch: each of the indices below ``count`` once, in random order.

    A last batch of a single sample goes to the one before it: batch normalisation cannot learn from one, and dropping
    it would lose a sample. ``batch_size`` 1 is left as it is.
    """
    generator = torch.Generator().manual_seed(mix_seed(seed, epoch))
    batches = plan_in_order(torch.randperm(count, generator=generator).tolist(), batch_size=batch_size)
    if batch_size > 1 and len(batches) > 1 and len(batches[-1]) == 1:
        single = batches.pop()
        batches[-1] += single
    return batches


def plan_in_order(indices: list[int], *, batch_size: int) -> list[list[int]]:
    """Cut ``indices`` into batches; the last one may be smaller."""
    return [indices[start : start + batch_size] for start in range(0, len(indices), batch_size)]


def mix_seed(*numbers: int) -> int:
    """Return a seed, 63 bits, that has nothing visible in common with that of any other numbers."""
    text = "/".join(map(str, numbers)).encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "big") >> 1
