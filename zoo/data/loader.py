"""Samples become batches, in this thread or by several; the numbers are the same."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from threading import Barrier
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from zoo.data.sampler import Sampler, plan_in_order, seed_of_view

if TYPE_CHECKING:
    from zoo.data.pixel_cache import Pixels
    from zoo.data.sample import Sample

#: Images, uint8 of shape (batch, 3, height, width), and their labels, int64 of shape (batch,).
Batch = tuple[Tensor, Tensor]

#: A sample's index, and the seed of its random numbers; None where nothing is random.
_Key = tuple[int, int | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class LoaderOptions:
    """How batches are loaded; all but ``batch_size`` changes only the speed."""

    batch_size: int
    #: Threads that decode; 0 for this one. Decoding lets go of the interpreter's lock.
    workers: int = 0
    #: Batches that are prepared while another one is worked on.
    ahead: int = 0
    #: Worth it for a CUDA device, of no use without one.
    pin_memory: bool = False


class _Loader:
    """Decodes and crops samples by threads that serve all epochs."""

    def __init__(self, samples: Sequence[Sample], pixels: Pixels, loading: LoaderOptions) -> None:
        self._samples = samples
        self._pixels = pixels
        self._loading = loading
        self._pool: ThreadPoolExecutor | None = None

    def close(self) -> None:
        """End the threads; they come again when they are needed."""
        if self._pool:
            self._pool.shutdown(cancel_futures=True)
            self._pool = None

    def _load(self, plan: Iterable[Sequence[_Key]]) -> Iterator[Batch]:
        if not self._loading.workers:
            for keys in plan:
                yield self._collate([self._prepare(key) for key in keys])
            return
        pool = self._pool = self._pool or _start_threads(self._loading.workers)
        coming: deque[list[Future[tuple[Tensor, int]]]] = deque()
        try:
            for keys in plan:
                coming.append([pool.submit(self._prepare, key) for key in keys])
                if len(coming) > self._loading.ahead:
                    yield self._collate([future.result() for future in coming.popleft()])
            while coming:
                yield self._collate([future.result() for future in coming.popleft()])
        finally:  # also where an epoch is left in the middle
            for future in (future for futures in coming for future in futures):
                future.cancel()

    def _prepare(self, key: _Key) -> tuple[Tensor, int]:
        index, seed = key
        sample = self._samples[index]
        return self._pixels.get(sample, seed), sample.label

    def _collate(self, items: Sequence[tuple[Tensor, int]]) -> Batch:
        if not items:  # other processes have all of this batch
            return torch.empty(0, 3, 1, 1, dtype=torch.uint8), torch.empty(0, dtype=torch.int64)
        images, labels = torch.stack([image for image, _ in items]), torch.tensor([label for _, label in items])
        return (images.pin_memory(), labels.pin_memory()) if self._loading.pin_memory else (images, labels)


class TrainBatches(_Loader):
    """Augmented batches in an order of their own for each epoch."""

    def __init__(self, samples: Sequence[Sample], pixels: Pixels, loading: LoaderOptions, order: Sampler) -> None:
        super().__init__(samples, pixels, loading)
        self._order = order

    def __len__(self) -> int:
        return len(self._order.plan(len(self._samples), 0))

    def epoch(self, number: int, start: int = 0) -> Iterator[Batch]:
        """Yield the batches of epoch ``number``, from 0, but for so many first ones.

        Raises:
            DataError: an image cannot be read any more.
        """
        order = self._order
        batches = self.plan(number)[start:]
        shares = map(order.share_of, batches)
        return self._load([(index, order.seed_of(number, index)) for index in share] for share in shares)

    def plan(self, number: int) -> list[list[int]]:
        """Return the indices of the samples in each batch of epoch ``number``, from 0."""
        return self._order.plan(len(self._samples), number)


class EvalBatches(_Loader):
    """Batches of samples in their order, any number of times: plain ones, or a view of augmented ones."""

    def __init__(
        self,
        samples: Sequence[Sample],
        pixels: Pixels,
        loading: LoaderOptions,
        view: int | None = None,
        plan: Sequence[Sequence[int]] | None = None,
    ) -> None:
        """Create them; ``plan`` holds the indices of each batch, of all samples unless it is given."""
        super().__init__(samples, pixels, loading)
        self._view = view
        self._plan = plan_in_order(range(len(samples)), batch_size=loading.batch_size) if plan is None else plan

    def __len__(self) -> int:
        return len(self._plan)

    def __iter__(self) -> Iterator[Batch]:
        return self._load([(index, self._seed_of(index)) for index in batch] for batch in self._plan)

    def _seed_of(self, index: int) -> int | None:
        return None if self._view is None else seed_of_view(self._view, index)


def _start_threads(count: int) -> ThreadPoolExecutor:
    """Start threads in which torch's operators start no threads of their own: images are many and small."""
    threads = torch.get_num_threads()
    pool = ThreadPoolExecutor(count, thread_name_prefix="load", initializer=torch.set_num_threads, initargs=(1,))
    together = Barrier(count)  # else the first thread does it all, and the others start later
    list(pool.map(lambda _: together.wait(), range(count)))
    torch.set_num_threads(threads)  # what a thread sets for itself is taken for the default by those that come later
    return pool
