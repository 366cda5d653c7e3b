"""What the epochs learn from: images through the whole network, or features through what learns of it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn

from zoo.data.dataset import Images
from zoo.data.loader import Batch, EvalBatches, TrainBatches
from zoo.data.pixel_cache import Views
from zoo.data.sampler import Sampler, balance_chances, plan_evenly, plan_in_order
from zoo.data.transform import Normalise
from zoo.engine.device import Hardware, plan_loading
from zoo.engine.distributed.world import World
from zoo.engine.loop import Batches
from zoo.registry.recipe import Recipe

#: Numbers of features that are measured at a time, and rows at most.
_NUMBERS, _ROWS = 2**22, 4096


def prepare(batches: Iterable[Batch], normalise: Normalise, hardware: Hardware) -> Iterator[Batch]:
    """Bring batches to the device, as bytes, and there from uint8 to what the model takes."""
    for images, labels in batches:
        # Laid out as `place` lays out weights, for convolutions.
        placed = images.to(hardware.device, memory_format=torch.channels_last, non_blocking=True)
        yield normalise(placed), labels.to(hardware.device, non_blocking=True)


def make_order(recipe: Recipe, images: Images, world: World) -> Sampler:
    """Decide in which order training images come, and to which process."""
    chances = balance_chances([sample.label for sample in images.train]) if recipe.balance == "sampling" else None
    least = 1 if recipe.sync_batch_norm else 2
    all_share = recipe.shard and world.size > 1
    return Sampler(recipe.batch_size, recipe.seed, recipe.num_views, chances, world.rank, world.size, least, all_share)


def plan_measuring(count: int, recipe: Recipe, world: World) -> list[list[int]]:
    """Plan the batches in which a process measures its share of so many samples."""
    mine, size = world.slice_of(count), math.ceil(recipe.batch_size / world.size)
    if not recipe.shard or not count:
        return plan_in_order(mine, batch_size=size)
    # A network that is divided is run equally often by all processes.
    return plan_evenly(mine, math.ceil(math.ceil(count / world.size) / size))


class ImageBatchSource:
    """Decodes the images at every epoch, and transforms them."""

    kind = "images"

    def __init__(self, model: nn.Module, images: Images, views: Views, recipe: Recipe, hardware: Hardware) -> None:
        self.model = model
        self._hardware = hardware
        self._normalise = views.plain.normalise
        loading = plan_loading(hardware, recipe.batch_size, recipe.workers)
        order, world = make_order(recipe, images, hardware.world), hardware.world
        self._train = TrainBatches(images.train, views.train, loading, order)
        self._measured = {
            split: EvalBatches(samples, views.plain, loading, plan=plan_measuring(len(samples), recipe, world))
            for split, samples in (("val", images.val), ("test", images.test))
        }

    @property
    def steps(self) -> int:
        """Batches of a training epoch."""
        return len(self._train)

    def train(self, epoch: int, start: int = 0) -> Batches:
        """Return the training batches of an epoch, from 0, but for so many first ones."""
        return prepare(self._train.epoch(epoch, start), self._normalise, self._hardware)

    def list_batch(self, epoch: int, step: int) -> Sequence[int]:
        """Return which training images a batch is made of."""
        return self._train.plan(epoch)[step]

    def measure(self, split: str) -> Batches:
        """Return this process's share of ``val`` or ``test``, in order."""
        return prepare(self._measured[split], self._normalise, self._hardware)

    def close(self) -> None:
        """End the threads."""
        for loaded in (self._train, *self._measured.values()):
            loaded.close()


@dataclass(frozen=True)
class FeatureRows:
    """Features of images, in their order: rows of a tensor that stay on disk until they are looked at."""

    tensor: Tensor
    #: Which row of the tensor is each image's.
    places: Tensor

    def __getitem__(self, indices: Tensor) -> Tensor:
        return self.tensor[self.places[indices]]


class Source(Protocol):
    """Who has features of images."""

    def train(self, view: int) -> FeatureRows:
        """Return those of the training images in a view, from 0."""

    def plain(self, split: str) -> FeatureRows:
        """Return those of a split as it is measured."""


class FeatureBatchSource:
    """Hands out features that are computed once."""

    kind = "features"

    def __init__(self, model: nn.Module, source: Source, images: Images, recipe: Recipe, world: World) -> None:
        self.model = model
        self._device = next(model.parameters()).device
        self._source = source
        self._world = world
        self._order = make_order(recipe, images, world)
        self._labels = {
            split: torch.tensor([sample.label for sample in getattr(images, split)])
            for split in ("train", "val", "test")
        }

    @property
    def steps(self) -> int:
        """Batches of a training epoch."""
        return len(self._order.plan(len(self._labels["train"]), 0))

    def train(self, epoch: int, start: int = 0) -> Batches:
        """Return the training batches of an epoch, from 0, in the order in which images would come."""
        labels = self._labels["train"]
        rows = self._source.train(epoch % self._order.views)
        return self._pick(rows, labels, map(self._order.share_of, self._order.plan(len(labels), epoch)[start:]))

    def list_batch(self, epoch: int, step: int) -> Sequence[int]:
        """Return which training images a batch is made of."""
        return self._order.plan(len(self._labels["train"]), epoch)[step]

    def measure(self, split: str) -> Batches:
        """Return this process's share of ``val`` or ``test``, in order."""
        labels = self._labels[split]
        rows = self._source.plain(split)
        size = max(1, min(_ROWS, _NUMBERS // rows.tensor.shape[1]))
        return self._pick(rows, labels, plan_in_order(self._world.slice_of(len(labels)), batch_size=size))

    def close(self) -> None:
        """Nothing was begun."""

    def _pick(self, rows: FeatureRows, labels: Tensor, plan: Iterable[Sequence[int]]) -> Iterator[Batch]:
        for batch in plan:
            indices = torch.tensor(batch, dtype=torch.int64)
            yield rows[indices].to(self._device), labels[indices].to(self._device)


#: Batches for every epoch.
BatchSource = ImageBatchSource | FeatureBatchSource
