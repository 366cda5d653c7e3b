"""Samples become batches, in this process or in workers; the numbers are the same."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from zoo.data.image import decode_image, ignore_pillow_warnings
from zoo.data.order import Order, plan_in_order, seed_of_view
from zoo.errors import DataError

if TYPE_CHECKING:
    from zoo.data.images import Sample
    from zoo.data.transform import Transform

#: Images, float32 of shape (batch, 3, height, width), and their labels, int64 of shape (batch,).
Batch = tuple[Tensor, Tensor]

#: A sample's index, and the seed of its random numbers; None where nothing is random.
_Key = tuple[int, int | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Loading:
    """How batches are loaded; all but ``batch_size`` changes only the speed."""

    batch_size: int
    #: Processes that decode; 0 for this one.
    workers: int = 0
    #: Worth it for a CUDA device, of no use without one.
    pin_memory: bool = False


class _Loaded:
    """A loader with workers that can be ended."""

    def __init__(self, prepared: _Prepared, loading: Loading) -> None:
        self._plan = _Plan()
        self._loader = _build_loader(prepared, self._plan, loading)

    def close(self) -> None:
        """End the workers at once. Left to the garbage collector, torch waits 5 seconds for each of them."""
        vars(self).pop("_loader", None)


class TrainBatches(_Loaded):
    """Augmented batches in an order of their own for each epoch.

    One set of workers serves all epochs. One epoch at a time: asking for the next one ends the one before.
    """

    def __init__(
        self, samples: Sequence[Sample], transform: Transform, loading: Loading, *, seed: int, views: int = 0
    ) -> None:
        super().__init__(_Prepared(samples, transform), loading)
        self._count = len(samples)
        self._order = Order(loading.batch_size, seed, views)

    def __len__(self) -> int:
        return len(self._order.plan(self._count, 0))

    def epoch(self, number: int) -> Iterator[Batch]:
        """Yield the batches of epoch ``number``, from 0.

        Raises:
            DataError: an image cannot be read any more.
        """
        order = self._order
        self._plan.batches = [
            [(index, order.seed_of(number, index)) for index in batch] for batch in order.plan(self._count, number)
        ]
        return _unwrap(iter(self._loader))


class EvalBatches(_Loaded):
    """Batches of all samples in their order, any number of times: plain ones, or a view of augmented ones."""

    def __init__(
        self, samples: Sequence[Sample], transform: Transform, loading: Loading, *, view: int | None = None
    ) -> None:
        super().__init__(_Prepared(samples, transform), loading)
        batches = plan_in_order(list(range(len(samples))), batch_size=loading.batch_size)
        self._plan.batches = [
            [(index, None if view is None else seed_of_view(view, index)) for index in batch] for batch in batches
        ]

    def __len__(self) -> int:
        return len(self._plan.batches)

    def __iter__(self) -> Iterator[Batch]:
        return _unwrap(iter(self._loader))


class _Plan(Sampler[list[_Key]]):
    """The batches that the loader serves next. It stays in this process; workers see keys only."""

    def __init__(self) -> None:
        self.batches: list[list[_Key]] = []

    def __iter__(self) -> Iterator[list[_Key]]:
        return iter(self.batches)

    def __len__(self) -> int:
        return len(self.batches)


@dataclass(frozen=True, slots=True)
class _Failure:
    """Why a sample could not be made: a value, as an exception out of a worker brings its traceback as a message."""

    message: str


class _Prepared(Dataset[tuple[Tensor, int] | _Failure]):
    """Samples, decoded and transformed."""

    def __init__(self, samples: Sequence[Sample], transform: Transform) -> None:
        self._samples = samples
        self._transform = transform

    def __getitem__(self, key: _Key) -> tuple[Tensor, int] | _Failure:
        index, seed = key
        sample = self._samples[index]
        try:
            pixels = decode_image(sample.path)
        except DataError as error:
            return _Failure(f"{error} It could be read when the run began; restore it and run again.")
        with torch.random.fork_rng(devices=[], enabled=seed is not None):
            if seed is not None:
                # Not torch.manual_seed, which would seed the GPU as well, and with it the network's own dropout.
                torch.default_generator.manual_seed(seed)
            return self._transform(pixels), sample.label


def _build_loader(prepared: _Prepared, plan: _Plan, loading: Loading) -> DataLoader[Batch | _Failure]:
    return DataLoader(
        prepared,  # type: ignore[arg-type]  # the collated batch is of another type than the samples
        batch_sampler=plan,
        num_workers=loading.workers,
        persistent_workers=loading.workers > 0,
        pin_memory=loading.pin_memory,
        collate_fn=_collate,
        worker_init_fn=_start_worker,
        generator=torch.Generator(),  # else every epoch draws from the global one
    )


def _start_worker(_number: int) -> None:
    ignore_pillow_warnings()


def _collate(items: Sequence[tuple[Tensor, int] | _Failure]) -> Batch | _Failure:
    good = []
    for item in items:
        if isinstance(item, _Failure):
            return item
        good.append(item)
    return torch.stack([image for image, _ in good]), torch.tensor([label for _, label in good])


def _unwrap(batches: Iterable[Batch | _Failure]) -> Iterator[Batch]:
    for batch in batches:
        if isinstance(batch, _Failure):
            del batches  # else the traceback keeps the workers alive after close()
            raise DataError(batch.message)
        images, labels = batch  # pinning makes a list of the tuple
        yield images, labels
