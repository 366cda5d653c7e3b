"""The features of a run's images: computed when they are first needed, and cached on disk for later runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, TypeVar

import torch
from torch import Tensor

from zoo.data.sample import Sample
from zoo.engine.batches import BatchSource, FeatureBatchSource, FeatureRows, ImageBatchSource
from zoo.engine.distributed.world import World
from zoo.engine.features.extractor import NUM_VERIFIED, TOLERANCES, Extractor, build_extractor
from zoo.engine.features.feature_store import check_room, find_rows, load_rows, store_rows
from zoo.engine.features.tail import CannotSplit, are_close
from zoo.engine.phase import Phase
from zoo.errors import CacheError, is_out_of_memory
from zoo.models.sharding import is_sharded
from zoo.progress import Progress

Result = TypeVar("Result")


class Features:
    """The features of a phase's images, by view."""

    def __init__(self, extractor: Extractor, progress: Progress, *, is_last: bool) -> None:
        """Create the object without computing any features yet.

        Args:
            extractor: Extractor that computes the features.
            progress: Object that receives notes and shows the progress of the computation.
            is_last: Whether this is the last phase, so that decoded images are no longer needed.
        """
        self._extractor = extractor
        self._images = extractor.phase.images
        self._is_augmented = extractor.phase.recipe.augmentation != "none"
        self._progress = progress
        self._is_last = is_last
        self._plain: tuple[dict[str, int], Tensor] | None = None
        self._views: dict[int, FeatureRows] = {}

    def train(self, view: int) -> FeatureRows:
        """Return the features of the training images in a view; views are numbered starting at 0.

        Raises:
            CacheError: If the features cannot be cached.
        """
        if not self._is_augmented:
            return self.plain("train")
        if view not in self._views:
            rows = self._get(self._images.train, view)
            self._views[view] = FeatureRows(rows, torch.arange(len(rows)))
        return self._views[view]

    def plain(self, split: str) -> FeatureRows:
        """Return the features of a split without augmentation.

        Raises:
            CacheError: If the features cannot be cached.
        """
        if self._plain is None:
            names = ("val", "test") if self._is_augmented else ("train", "val", "test")
            samples = {sample.digest: sample for name in names for sample in getattr(self._images, name)}
            ordered = [samples[digest] for digest in sorted(samples)]  # the order does not depend on the split
            self._plain = ({sample.digest: row for row, sample in enumerate(ordered)}, self._get(ordered, None))
            if self._is_last:
                self._extractor.phase.views.plain.forget()
        places, rows = self._plain
        return FeatureRows(rows, torch.tensor([places[sample.digest] for sample in getattr(self._images, split)]))

    def _get(self, samples: Sequence[Sample], view: int | None) -> Tensor:
        """Return cached features if they are still valid in every process; otherwise compute and cache them."""
        about, world = self._extractor.describe(samples, view), self._extractor.phase.hardware.world
        rows = find_rows(about, self._progress.say)
        is_valid = rows is not None and self._is_valid(rows, samples, view)
        (num_valid,) = world.sum_numbers([is_valid])  # each machine has its own cache
        if rows is not None and num_valid == world.size:
            self._progress.say(f"features of {len(samples)} images: cached by an earlier run")
            return rows
        if rows is not None and not is_valid:
            self._progress.say("note: cached features differ from what the network returns now; recomputing them")
        with self._progress.track("computing features", len(samples)) as advance:
            computed = self._extractor.compute_together(samples, view, advance)
            return _cache_together(world, about, len(samples), computed)

    def _is_valid(self, rows: Tensor, samples: Sequence[Sample], view: int | None) -> bool:
        """Recompute and compare the first rows, because no digest shows whether the network's code has changed."""
        first = samples[:NUM_VERIFIED]
        found = torch.cat(list(self._extractor.compute(first, view)))
        return are_close(rows[: len(first)], found, TOLERANCES[self._extractor.phase.hardware.precision])


def _cache_together(world: World, about: Mapping[str, Any], count: int, batches: Iterator[Tensor]) -> Tensor:
    """Cache features that all processes compute, once per machine.

    Raises:
        CacheError: If a machine cannot cache them.
    """
    if world.size == 1:
        return store_rows(about, count, batches)

    def cache() -> None:
        try:
            if world.is_first_here:
                store_rows(about, count, batches)
        finally:
            for _ in batches:  # the other processes need this one's slices, even after an error here
                pass

    _agree(world, cache)
    return _agree(world, partial(load_rows, about))


def _agree(world: World, work: Callable[[], Result]) -> Result:
    """Call a function in all processes; if it raises an error about features in one of them, raise in all."""
    return world.run_in_all(work, CannotSplit, CacheError)


def choose_batch_source(phase: Phase, frozen: str, progress: Progress, *, is_last: bool = True) -> BatchSource:
    """Return batches of cached features if the trainable part can run on its own, and batches of images otherwise.

    Args:
        phase: The phase to be trained.
        frozen: SHA-256 of the frozen part.
        progress: Object that receives a note if features are not cached, with the reason.
        is_last: Whether this is the last phase.
    """
    recipe, world = phase.recipe, phase.hardware.world
    if phase.frozen.list_frozen() and recipe.cache and recipe.num_views:
        try:
            extractor = _agree(world, partial(_build_extractor, phase, frozen, progress))
        except (CannotSplit, CacheError) as error:
            progress.say(f"note: frozen features are computed in every epoch: {error}")
        else:
            features = Features(extractor, progress, is_last=is_last)
            return FeatureBatchSource(extractor.tail, features, phase.images, recipe, world)
    return ImageBatchSource(phase.network.model, phase.images, phase.views, recipe, phase.hardware)


def _build_extractor(phase: Phase, frozen: str, progress: Progress) -> Extractor:
    """Build an extractor whose features can be cached.

    Raises:
        CannotSplit: If the trainable part cannot run on its own.
        CacheError: If there is not enough space for the features of all views.
    """
    recipe, images = phase.recipe, phase.images
    if recipe.mixup or recipe.cutmix:
        raise CannotSplit("mixup and cutmix mix images, not features")
    if is_sharded(phase.network.model):
        raise CannotSplit("the network is sharded")
    if not images.is_examined:
        raise CannotSplit("the images are examined during the first epoch")
    try:
        extractor = build_extractor(phase, frozen, progress)
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        raise CannotSplit("not enough memory to verify that cached features lead to the same logits") from error
    num_images = sum(len(samples) for samples in (images.train, images.val, images.test))
    check_room(num_images * recipe.num_views * extractor.tail.width * torch.float32.itemsize)
    return extractor
