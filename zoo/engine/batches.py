"""Batches to train and evaluate on: images for the full model, or cached features for its trainable part."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Protocol

import torch
from torch import Tensor, nn

from zoo.data.dataset import Images
from zoo.data.loader import Batch, EvalBatches, TrainBatches
from zoo.data.pixel_cache import Views
from zoo.data.sample import are_weighted
from zoo.data.sampler import Sampler, balance_sample_weights, plan_evenly, plan_in_order
from zoo.data.transform import Normalize
from zoo.engine.device import Hardware, plan_loading
from zoo.engine.distributed.world import World
from zoo.engine.loop import Batches
from zoo.registry.recipe import Recipe

#: Maximum size of an evaluation batch of features, in values and in rows.
_MAX_VALUES, _MAX_ROWS = 2**22, 4096


def prepare(batches: Iterable[Batch], normalize: Normalize, hardware: Hardware) -> Iterator[Batch]:
    """Move batches of uint8 images to the device and normalize them there."""
    for images, *others in batches:
        # Convolutions are fastest if images and weights have the same memory format; see `zoo.engine.device.place`.
        placed = images.to(hardware.device, memory_format=torch.channels_last, non_blocking=True)
        yield normalize(placed), *(tensor.to(hardware.device, non_blocking=True) for tensor in others)


def build_sampler(recipe: Recipe, images: Images, world: World) -> Sampler:
    """Build the sampler, which determines the order of the training images and divides them among the processes."""
    labels = [sample.label for sample in images.train]
    weights = balance_sample_weights(labels) if recipe.balance == "sampling" else None
    least = 1 if recipe.sync_batch_norm else 2
    needs_all_processes = (recipe.shard or recipe.sync_batch_norm) and world.size > 1
    return Sampler(
        recipe.batch_size,
        recipe.seed,
        recipe.num_views,
        weights,
        world.rank,
        world.size,
        least,
        needs_all_processes,
    )


def plan_evaluation(count: int, recipe: Recipe, world: World) -> list[list[int]]:
    """Return the sample indices of this process's evaluation batches, for a split of ``count`` samples."""
    local, batch_size = world.slice_of(count), math.ceil(recipe.batch_size / world.size)
    if not recipe.shard or not count:
        return plan_in_order(local, batch_size=batch_size)
    # All processes must run a sharded model the same number of times.
    return plan_evenly(local, math.ceil(math.ceil(count / world.size) / batch_size))


class ImageBatchSource:
    """Batches of images, which are decoded and transformed in every epoch."""

    kind = "images"

    def __init__(self, model: nn.Module, images: Images, views: Views, recipe: Recipe, hardware: Hardware) -> None:
        #: Model that runs on the batches.
        self.model = model
        self._hardware = hardware
        self._normalize = views.plain.normalize
        loading = plan_loading(hardware, recipe.batch_size, recipe.workers)
        sampler, world = build_sampler(recipe, images, hardware.world), hardware.world
        self._train = TrainBatches(images.train, views.train, loading, sampler)
        self._evaluation = {
            split: EvalBatches(samples, views.plain, loading, plan=plan_evaluation(len(samples), recipe, world))
            for split, samples in (("val", images.val), ("test", images.test))
        }

    @property
    def steps(self) -> int:
        """Number of batches in a training epoch."""
        return len(self._train)

    def train(self, epoch: int, start: int = 0) -> Batches:
        """Return this process's part of the training batches of an epoch.

        Args:
            epoch: Index of the epoch.
            start: Index of the first batch.
        """
        return prepare(self._train.epoch(epoch, start), self._normalize, self._hardware)

    def list_batch(self, epoch: int, step: int) -> Sequence[int]:
        """Return the indices of the training images in a batch, over all processes."""
        return next(islice(self._train.plan(epoch), step, None))

    def measure(self, split: str) -> Batches:
        """Return this process's part of ``val`` or ``test``, in order."""
        return prepare(self._evaluation[split], self._normalize, self._hardware)

    def close(self) -> None:
        """Stop the threads that load images."""
        for batches in (self._train, *self._evaluation.values()):
            batches.close()


@dataclass(frozen=True)
class FeatureRows:
    """Features of images, in the order of the images. A row stays on disk until it is read."""

    #: Features of shape (rows, width).
    tensor: Tensor
    #: Index of each image's row.
    row_indices: Tensor

    def __getitem__(self, indices: Tensor) -> Tensor:
        return self.tensor[self.row_indices[indices]]


class FeatureSource(Protocol):
    """An object that provides the features of images."""

    def train(self, view: int) -> FeatureRows:
        """Return the features of the training images in a view; views are numbered starting at 0."""

    def plain(self, split: str) -> FeatureRows:
        """Return the features of a split without augmentation."""


class FeatureBatchSource:
    """Batches of features, which are computed only once."""

    kind = "features"

    def __init__(self, model: nn.Module, source: FeatureSource, images: Images, recipe: Recipe, world: World) -> None:
        #: Model that runs on the batches.
        self.model = model
        self._device = next(model.parameters()).device
        self._source = source
        self._world = world
        self._sampler = build_sampler(recipe, images, world)
        self._labels = {
            split: torch.tensor([sample.label for sample in getattr(images, split)])
            for split in ("train", "val", "test")
        }
        #: Loss weights of the training images, if there are any.
        self._loss_weights = (
            [torch.tensor([sample.file.loss_weight for sample in images.train])] if are_weighted(images.train) else []
        )

    @property
    def steps(self) -> int:
        """Number of batches in a training epoch."""
        return self._sampler.count_batches(len(self._labels["train"]))

    def train(self, epoch: int, start: int = 0) -> Batches:
        """Return this process's part of the training batches of an epoch, in the same order as for images.

        Args:
            epoch: Index of the epoch.
            start: Index of the first batch.
        """
        labels = self._labels["train"]
        rows = self._source.train(epoch % self._sampler.views)
        plan = map(self._sampler.local_part, islice(self._sampler.plan(len(labels), epoch), start, None))
        return self._select(plan, rows, labels, *self._loss_weights)

    def list_batch(self, epoch: int, step: int) -> Sequence[int]:
        """Return the indices of the training images in a batch, over all processes."""
        return next(islice(self._sampler.plan(len(self._labels["train"]), epoch), step, None))

    def measure(self, split: str) -> Batches:
        """Return this process's part of ``val`` or ``test``, in order."""
        labels = self._labels[split]
        rows = self._source.plain(split)
        batch_size = max(1, min(_MAX_ROWS, _MAX_VALUES // rows.tensor.shape[1]))
        return self._select(plan_in_order(self._world.slice_of(len(labels)), batch_size=batch_size), rows, labels)

    def close(self) -> None:
        """Do nothing; this source has no threads."""

    def _select(self, plan: Iterable[Sequence[int]], *columns: FeatureRows | Tensor) -> Iterator[Batch]:
        for batch in plan:
            indices = torch.tensor(batch, dtype=torch.int64)
            yield tuple(column[indices].to(self._device) for column in columns)


#: Source of the batches of a phase.
BatchSource = ImageBatchSource | FeatureBatchSource
