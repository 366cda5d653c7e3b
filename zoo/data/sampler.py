"""The order of samples and the seeds of their augmentation. Both depend only on the seed, the epoch and the sample.

The sampler has no state. The number of workers, prefetching and the epoch from which a run resumes therefore cannot
change the results.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeVar

import torch

T = TypeVar("T")

#: First values hashed into the seeds of views and steps. They are negative so that they never equal a run's seed.
_VIEWS, _STEPS = -1, -2


@dataclass(frozen=True, slots=True)
class Sampler:
    """The batches of every epoch, and the seed of each sample's augmentation."""

    batch_size: int
    seed: int
    #: Number of fixed augmentations of each sample, used in turn; 0 means a new augmentation in every epoch.
    views: int = 0
    #: Relative probability of choosing each sample; None means that each sample is used once per epoch.
    sample_weights: tuple[float, ...] | None = None
    #: Rank of this process, and the number of processes that share each batch.
    rank: int = 0
    ranks: int = 1
    #: Minimum number of images that a process gets from a batch, if it gets any; batch norm needs more than one.
    least: int = 2
    #: Whether every process must get part of every batch. If so, a last batch that is too small is merged into the
    #: batch before it.
    needs_all_processes: bool = False

    def plan(self, count: int, epoch: int) -> Iterator[list[int]]:
        """Yield the batches of an epoch: every index below ``count`` once, in random order.

        With ``sample_weights``, ``count`` indices are sampled with replacement instead.

        A last batch of a single sample is merged into the batch before it, because batch norm cannot train on one
        sample, and dropping the batch would lose a sample. This does not apply to ``batch_size`` 1.
        """
        generator = torch.Generator().manual_seed(mix_seed(self.seed, epoch))
        if self.sample_weights is None:
            indices = torch.randperm(count, generator=generator)
        else:
            indices = torch.multinomial(torch.tensor(self.sample_weights), count, replacement=True, generator=generator)
        # Only one batch at a time is a list, because a list needs five times the memory.
        for start, end in pairwise([0, *self._list_ends(count)]):
            batch: list[int] = indices[start:end].tolist()
            yield batch

    def count_batches(self, count: int) -> int:
        """Return the number of batches in an epoch of ``count`` samples."""
        return len(self._list_ends(count))

    def _list_ends(self, count: int) -> list[int]:
        """Return the index at which each batch of an epoch ends."""
        ends = [*range(self.batch_size, count, self.batch_size), *([count] if count else [])]
        if self.batch_size > 1:
            ends = _join_rest(ends, 2)
        return _join_rest(ends, self.least * self.ranks) if self.needs_all_processes else ends

    def local_part(self, batch: Sequence[T]) -> Sequence[T]:
        """Return this process's part of a batch, which may be empty if the batch is too small for all processes."""
        parts = max(1, min(self.ranks, len(batch) // self.least))
        if self.rank >= parts:
            return ()
        return batch[len(batch) * self.rank // parts : len(batch) * (self.rank + 1) // parts]

    def add_seeds(self, batches: Iterable[Sequence[int]], epoch: int) -> Iterator[list[tuple[int, int]]]:
        """Yield the indices of each batch of an epoch, each with the seed of its augmentation.

        With ``sample_weights``, a sample may be chosen several times in an epoch. It then has a different seed each
        time, so that a rare class does not consist of copies of the same few augmented images.
        """
        if self.sample_weights is None:
            for batch in batches:
                yield [(index, self._seed_of(epoch, index, 0)) for index in batch]
            return
        draws = Counter[int]()
        for batch in batches:
            keys = []
            for index in batch:
                keys.append((index, self._seed_of(epoch, index, draws[index])))
                draws[index] += 1
            yield keys

    def _seed_of(self, epoch: int, index: int, draw: int) -> int:
        """Return the seed of a sample's augmentation; with views, it depends only on the view."""
        if self.views:
            return seed_of_view(epoch % self.views, index)
        return mix_seed(self.seed, epoch, index, *([draw] if draw else []))


def seed_of_view(view: int, index: int) -> int:
    """Return the seed of a sample's augmentation in a view; ``view`` starts at 0."""
    return mix_seed(_VIEWS, view, index)


def seed_of_step(seed: int, epoch: int, step: int, rank: int = 0) -> int:
    """Return the seed of the random numbers that a process uses in a training step, for example in dropout."""
    return mix_seed(_STEPS, seed, epoch, step, *([rank] if rank else []))


def balance_sample_weights(labels: Sequence[int]) -> tuple[float, ...]:
    """Return relative probabilities of the samples that make all classes equally likely."""
    sizes = Counter(labels)
    return tuple(1 / sizes[label] for label in labels)


def _join_rest(ends: list[int], least: int) -> list[int]:
    """Merge a last batch of fewer than ``least`` samples into the batch before it, if there is one."""
    if len(ends) > 1 and ends[-1] - ends[-2] < least:
        return [*ends[:-2], ends[-1]]
    return ends


def plan_in_order(indices: Sequence[int], *, batch_size: int) -> list[list[int]]:
    """Split ``indices`` into consecutive batches; the last one may be smaller."""
    return [[*indices[start : start + batch_size]] for start in range(0, len(indices), batch_size)]


def plan_evenly(indices: Sequence[int], count: int) -> list[list[int]]:
    """Split ``indices`` into ``count`` consecutive batches of nearly equal size."""
    ends = [len(indices) * number // count for number in range(count + 1)]
    return [[*indices[start:end]] for start, end in pairwise(ends)]


def mix_seed(*numbers: int) -> int:
    """Hash numbers to a 63-bit seed. Similar numbers result in unrelated seeds."""
    text = "/".join(map(str, numbers)).encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "big") >> 1
