"""Load batches of samples in the calling thread or in several threads. The result is the same."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain, islice
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from zoo.data.decoding_threads import start_threads
from zoo.data.load_ahead import load_ahead
from zoo.data.loading_processes import MIN_IMAGES, Loaded, LoadingProcesses, count_processes
from zoo.data.pixel_cache import Unreadable
from zoo.data.sample import Sample, are_weighted
from zoo.data.sampler import Sampler, plan_in_order, seed_of_view
from zoo.errors import DataError

if TYPE_CHECKING:
    from zoo.data.pixel_cache import Pixels

#: Images, uint8 of shape (N, C, height, width), and labels, int64 of shape (N,). If a training image has a loss
#: weight other than 1, training batches also contain the loss weights, of shape (N,).
Batch = tuple[Tensor, ...]

#: Index of a sample, and the seed of its augmentation or None if it is not augmented.
_Key = tuple[int, int | None]
#: Pixels of an image, and the image itself.
_Item = tuple[Tensor, Sample]


@dataclass(frozen=True, slots=True, kw_only=True)
class LoaderOptions:
    """Options for loading batches. All options except ``batch_size`` affect only the speed."""

    batch_size: int
    #: Number of threads or processes that decode, or 0 to decode in the calling thread.
    workers: int = 0
    #: Whether many images are decoded in processes instead of threads.
    use_processes: bool = False
    #: Number of batches that threads load ahead of the current one.
    ahead: int = 0
    #: Whether to copy batches to pinned memory, which is useful only for a CUDA device.
    pin_memory: bool = False


class _Loader:
    """A loader of batches whose threads are kept for all epochs."""

    #: Whether batches contain loss weights.
    _is_weighted = False

    def __init__(self, samples: Sequence[Sample], pixels: Pixels, loading: LoaderOptions) -> None:
        self._samples = samples
        self._pixels = pixels
        self._loading = loading
        self._pool: ThreadPoolExecutor | None = None
        self._processes: LoadingProcesses[_Key] | None = None

    def close(self) -> None:
        """Stop the threads or processes; the next epoch will start new ones."""
        if self._processes:
            self._processes.close()
            self._processes = None
        if self._pool:
            self._pool.shutdown(cancel_futures=True)
            self._pool = None

    def _load(self, plan: Iterable[Sequence[_Key]]) -> Iterator[Batch]:
        plan = iter(plan)
        first = list(islice(plan, 1))
        plan = chain(first, plan)
        if first and self._start_processes(first[0]):
            yield from self._load_in_processes(plan)
            return
        if self._loading.workers:
            self._pool = self._pool or start_threads(self._loading.workers, "load")
        yield from load_ahead(plan, self._prepare, self._collate, self._pool, self._loading.ahead)

    def _start_processes(self, batch: Sequence[_Key]) -> bool:
        """Return whether processes load the images: if there are many, and batches like this one can be shared."""
        loading = self._loading
        if self._processes is None and loading.use_processes and loading.workers and len(self._samples) >= MIN_IMAGES:
            image = next(filter(None, map(self._prepare, batch)), None)
            count = count_processes(loading.workers, image[0].nbytes * len(batch)) if image else 0
            if count:
                self._processes = LoadingProcesses(self._load_batch, count, pin_memory=loading.pin_memory)
        return self._processes is not None

    def _load_in_processes(self, plan: Iterable[Sequence[_Key]]) -> Iterator[Batch]:
        assert self._processes is not None
        for loaded in self._processes.load(plan):
            self._pixels.unreadable.update(loaded.unreadable)
            yield loaded.batch

    def _load_batch(self, keys: Sequence[_Key]) -> Loaded:
        """Load a batch in a process of its own."""
        self._pixels.stop_keeping()  # Each process would keep different images, and seldom need them again.
        batch = self._collate([self._prepare(key) for key in keys])
        unreadable = tuple(self._pixels.unreadable.items())
        self._pixels.unreadable.clear()
        return Loaded(batch, unreadable)

    def _prepare(self, key: _Key) -> _Item | None:
        """Return the pixels of an image; None if it turns out to be unreadable, which is recorded."""
        index, seed = key
        sample = self._samples[index]
        try:
            return self._pixels.get(sample, seed), sample
        except Unreadable:
            return None

    def _collate(self, found: Sequence[_Item | None]) -> Batch:
        items = [item for item in found if item is not None]
        if not items:  # The batch is too small for all processes, and this process gets no images.
            self._check_empty(len(found))
        is_pinned = self._loading.pin_memory and self._processes is None  # Only this process may use the GPU.
        images = _stack([image for image, _ in items], self._pixels.channels, is_pinned=is_pinned)
        labels = torch.tensor([sample.label for _, sample in items], dtype=torch.int64, pin_memory=is_pinned)
        if not self._is_weighted:
            return images, labels
        return images, labels, torch.tensor([sample.file.loss_weight for _, sample in items], pin_memory=is_pinned)

    def _check_empty(self, count: int) -> None:
        """Do nothing if none of ``count`` images can be read; an empty batch does not change an evaluation."""


class TrainBatches(_Loader):
    """Augmented batches for training, in a different order in each epoch."""

    def __init__(self, samples: Sequence[Sample], pixels: Pixels, loading: LoaderOptions, order: Sampler) -> None:
        super().__init__(samples, pixels, loading)
        self._order = order
        self._is_weighted = are_weighted(samples)

    def __len__(self) -> int:
        return self._order.count_batches(len(self._samples))

    def epoch(self, number: int, start: int = 0) -> Iterator[Batch]:
        """Yield this process's part of each batch of an epoch.

        Args:
            number: Index of the epoch, starting at 0.
            start: Number of batches to skip.

        Raises:
            DataError: If an image can no longer be read.
        """
        batches = map(self._order.local_part, self._order.add_seeds(self.plan(number), number))
        skipped = islice(batches, start)
        if number == 0 and not self._samples[0].is_examined:
            deque(self._load(skipped), maxlen=0)  # The first epoch examines all images, even if it was interrupted.
        deque(skipped, maxlen=0)
        return self._load(batches)

    def plan(self, number: int) -> Iterator[list[int]]:
        """Yield the indices of the samples in each batch of an epoch; ``number`` is its index, starting at 0."""
        return self._order.plan(len(self._samples), number)

    def _check_empty(self, count: int) -> None:
        """Raise DataError if none of ``count`` images can be read, because there is nothing to train on."""
        if count:
            path, reason = next(reversed(self._pixels.unreadable.items()))
            raise DataError(
                f"none of {count} images of a batch can be read, for example {str(path)!r}: {reason}. "
                "Remove these images, or use a larger `batch_size`."
            )


class EvalBatches(_Loader):
    """Batches of samples in a fixed order, for evaluation or for one view of augmented images."""

    def __init__(
        self,
        samples: Sequence[Sample],
        pixels: Pixels,
        loading: LoaderOptions,
        view: int | None = None,
        plan: Sequence[Sequence[int]] | None = None,
    ) -> None:
        """Create the batches.

        Args:
            samples: Samples to load.
            pixels: Source of the samples' pixels.
            loading: How to load the batches.
            view: Index of the augmented view, starting at 0; None means images without augmentation.
            plan: Indices of the samples in each batch; None means all samples in order.
        """
        super().__init__(samples, pixels, loading)
        self._view = view
        self._plan = plan_in_order(range(len(samples)), batch_size=loading.batch_size) if plan is None else plan

    def __len__(self) -> int:
        return len(self._plan)

    def __iter__(self) -> Iterator[Batch]:
        return self._load([(index, self._seed_of(index)) for index in batch] for batch in self._plan)

    def _seed_of(self, index: int) -> int | None:
        return None if self._view is None else seed_of_view(self._view, index)


def _stack(images: Sequence[Tensor], channels: int, *, is_pinned: bool) -> Tensor:
    """Stack images; without images, return a tensor of shape (0, channels, 1, 1)."""
    shape = images[0].shape if images else (channels, 1, 1)
    batch = torch.empty(len(images), *shape, dtype=torch.uint8, pin_memory=is_pinned)
    return torch.stack(tuple(images), out=batch) if images else batch
