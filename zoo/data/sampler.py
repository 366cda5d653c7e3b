"""Which sample comes when, and with which random numbers: functions of the seed, the epoch and the sample alone.

So the number of workers, what they fetch ahead, and the epoch in which a run was taken up again cannot matter: there is
no state that could be lost.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch

#: Take the place of a seed, and are none that a run can have.
_VIEWS, _STEPS = -1, -2


@dataclass(frozen=True, slots=True)
class Sampler:
    """What decides the batches of every epoch, and how each sample is augmented."""

    batch_size: int
    seed: int
    #: In how many ways each sample is augmented, in turn from epoch to epoch; 0: in another one at every epoch.
    views: int = 0
    #: Of each sample, how likely it is to be drawn; None: each comes once an epoch.
    chances: tuple[float, ...] | None = None
    #: Which of how many processes this one is, that learn from each batch together.
    rank: int = 0
    ranks: int = 1
    #: Images of a batch that each of them has at the least, if it has any: a batch norm compares them.
    least: int = 2
    #: Whether each of them must have some of every batch: a last one that is too small goes to the one before it.
    all_share: bool = False

    def plan(self, count: int, epoch: int) -> list[list[int]]:
        """Return the batches of an epoch of ``count`` samples, as `plan_epoch` does."""
        batches = plan_epoch(count, batch_size=self.batch_size, seed=self.seed, epoch=epoch, chances=self.chances)
        return _join_rest(batches, 2 * self.ranks) if self.all_share else batches

    def share_of(self, batch: Sequence[int]) -> Sequence[int]:
        """Return what of a batch is this process's: a fair share, or nothing of one that is too small for all."""
        sharing = max(1, min(self.ranks, len(batch) // self.least))
        if self.rank >= sharing:
            return ()
        return batch[len(batch) * self.rank // sharing : len(batch) * (self.rank + 1) // sharing]

    def seed_of(self, epoch: int, index: int) -> int:
        """Return the seed of a sample's random numbers; views have the same ones with every seed."""
        return mix_seed(self.seed, epoch, index) if not self.views else seed_of_view(epoch % self.views, index)


def seed_of_view(view: int, index: int) -> int:
    """Return the seed of a sample's random numbers in a view, from 0."""
    return mix_seed(_VIEWS, view, index)


def seed_of_step(seed: int, epoch: int, step: int, rank: int = 0) -> int:
    """Return the seed of what a process draws while it learns from its share of a batch, as by dropouts."""
    return mix_seed(_STEPS, seed, epoch, step, *([rank] if rank else []))


def balance_chances(labels: Sequence[int]) -> tuple[float, ...]:
    """Return chances of samples that make all classes equally likely."""
    sizes = Counter(labels)
    return tuple(1 / sizes[label] for label in labels)


def plan_epoch(
    count: int, *, batch_size: int, seed: int, epoch: int, chances: Sequence[float] | None = None
) -> list[list[int]]:
    """Return the batches of an epoch: each of the indices below ``count`` once, in random order.

    With ``chances`` as many are drawn, each time any of them as likely as it says.

    A last batch of a single sample goes to the one before it: batch normalisation cannot learn from one, and dropping
    it would lose a sample. ``batch_size`` 1 is left as it is.
    """
    generator = torch.Generator().manual_seed(mix_seed(seed, epoch))
    if chances is None:
        indices = torch.randperm(count, generator=generator)
    else:
        indices = torch.multinomial(torch.tensor(chances), count, replacement=True, generator=generator)
    batches = plan_in_order(indices.tolist(), batch_size=batch_size)
    return _join_rest(batches, 2) if batch_size > 1 else batches


def _join_rest(batches: list[list[int]], least: int) -> list[list[int]]:
    """Add a last batch that has fewer than ``least`` to the one before it, if there is one."""
    if len(batches) > 1 and len(batches[-1]) < least:
        *batches, last, rest = batches
        return [*batches, last + rest]
    return batches


def plan_in_order(indices: Sequence[int], *, batch_size: int) -> list[list[int]]:
    """Cut ``indices`` into batches; the last one may be smaller."""
    return [[*indices[start : start + batch_size]] for start in range(0, len(indices), batch_size)]


def plan_evenly(indices: Sequence[int], count: int) -> list[list[int]]:
    """Cut ``indices`` into so many batches, about equally long."""
    ends = [len(indices) * number // count for number in range(count + 1)]
    return [[*indices[start:end]] for start, end in pairwise(ends)]


def mix_seed(*numbers: int) -> int:
    """Return a seed, 63 bits, that has nothing visible in common with that of any other numbers."""
    text = "/".join(map(str, numbers)).encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "big") >> 1
