"""The features of a run's images: computed when they are first asked for, kept on disk, found there by later runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, TypeVar

import torch
from torch import Tensor

from zoo.data.dataset import Images
from zoo.data.sample import Sample
from zoo.engine.allocator import give_back
from zoo.engine.batches import BatchSource, FeatureBatchSource, FeatureRows, ImageBatchSource
from zoo.engine.distributed.world import World
from zoo.engine.features.extractor import PROOF, TOLERANCES, Extractor, build_extractor
from zoo.engine.features.feature_store import check_room, drop_rows, find_rows, keep_rows
from zoo.engine.features.tail import CannotSplit, Tail, are_close
from zoo.engine.phase import Phase
from zoo.errors import CacheError, is_out_of_memory
from zoo.models.sharding import is_sharded
from zoo.progress import Progress

Result = TypeVar("Result")


class Features:
    """The features of a run's images, view by view."""

    def __init__(self, extractor: Extractor, images: Images, progress: Progress) -> None:
        self._extractor = extractor
        self._images = images
        self._progress = progress
        self._plain: tuple[dict[str, int], Tensor] | None = None
        self._views: dict[int, FeatureRows] = {}

    @property
    def rest(self) -> Tail:
        """What learns from them."""
        return self._extractor.rest

    def train(self, view: int) -> FeatureRows:
        """Return those of the training images in a view, from 0.

        Raises:
            CacheError: they cannot be kept.
        """
        if self._extractor.augmentation == "none":
            return self.plain("train")
        if view not in self._views:
            rows = self._get(self._images.train, view)
            self._views[view] = FeatureRows(rows, torch.arange(len(rows)))
        return self._views[view]

    def plain(self, split: str) -> FeatureRows:
        """Return those of a split as it is measured.

        Raises:
            CacheError: they cannot be kept.
        """
        if self._plain is None:
            names = ("train", "val", "test") if self._extractor.augmentation == "none" else ("val", "test")
            samples = {sample.digest: sample for name in names for sample in getattr(self._images, name)}
            ordered = [samples[digest] for digest in sorted(samples)]  # however they are split
            self._plain = ({sample.digest: row for row, sample in enumerate(ordered)}, self._get(ordered, None))
            if self._extractor.is_last:
                self._extractor.views.plain.forget()
        places, rows = self._plain
        return FeatureRows(rows, torch.tensor([places[sample.digest] for sample in getattr(self._images, split)]))

    def check_room(self, views: int) -> None:
        """Raise CacheError when so many views cannot be kept."""
        images = [sample for split in ("train", "val", "test") for sample in getattr(self._images, split)]
        check_room(len(images) * views * self._extractor.rest.width * torch.float32.itemsize)

    def _get(self, samples: Sequence[Sample], view: int | None) -> Tensor:
        about, world = self._extractor.describe(samples, view), self._extractor.hardware.world
        rows = find_rows(about)
        is_true = rows is not None and self._is_true(rows, samples, view)
        (machines,) = world.total([is_true])  # each has a cache of its own
        if rows is not None and machines == world.size:
            self._progress.say(f"features of {len(samples)} images: kept by an earlier run")
            return rows
        if rows is not None and not is_true:
            self._progress.say("note: features kept by an earlier run are not what the network gives now; again")
            drop_rows(about)
        with self._progress.track("computing features", len(samples)) as advance:
            computed = self._extractor.compute_together(samples, view, advance)
            rows = _keep_together(world, about, len(samples), computed)
        give_back()  # all that the whole network took: what learns is small
        return rows

    def _is_true(self, rows: Tensor, samples: Sequence[Sample], view: int | None) -> bool:
        """Compute the first ones again: code that changed shows in no digest."""
        first = samples[:PROOF]
        found = torch.cat(list(self._extractor.compute(first, view, lambda _count: None)))
        return are_close(rows[: len(first)], found, TOLERANCES[self._extractor.hardware.precision])


def _keep_together(world: World, about: Mapping[str, Any], count: int, batches: Iterator[Tensor]) -> Tensor:
    """Keep features that all processes compute, once on each machine.

    Raises:
        CacheError: a machine cannot keep them.
    """
    if world.size == 1:
        return keep_rows(about, count, batches)

    def keep() -> None:
        try:
            if world.is_first_here:
                keep_rows(about, count, batches)
        finally:
            for _ in batches:  # whatever became of it here, the others count on what this process computes
                pass

    def find() -> Tensor:
        rows = find_rows(about)
        if rows is None:
            raise CacheError("the features were removed by another process")
        return rows

    _agree(world, keep)
    return _agree(world, find)


def _agree(world: World, work: Callable[[], Result]) -> Result:
    """Do work on features that succeeds in all processes, or is given up in all of them."""

    def gives_up(error: Exception) -> bool:
        return isinstance(error, (CannotSplit, CacheError))

    return world.together(work, gives_up, CacheError)


def choose_feed(fit: Phase, frozen: str, progress: Progress, *, is_last: bool = True) -> BatchSource:
    """Return features where what learns gives the same logits alone, and images else; and say why.

    Args:
        fit: what is to learn.
        frozen: the digest of all that does not.
        progress: told why the frozen part is computed at every epoch, where it is.
        is_last: whether no other phase comes after this one.
    """
    recipe, world = fit.recipe, fit.hardware.world
    is_any_frozen = any(not parameter.requires_grad for parameter in fit.network.model.parameters())
    if is_any_frozen and recipe.cache and recipe.num_views:
        try:
            features = _agree(world, partial(_build_features, fit, frozen, progress, is_last=is_last))
            return FeatureBatchSource(features.rest, features, fit.images, recipe, world)
        except (CannotSplit, CacheError) as error:
            progress.say(f"note: what is frozen is computed at every epoch: {error}")
    return ImageBatchSource(fit.network.model, fit.images, fit.views, recipe, fit.hardware)


def _build_features(fit: Phase, frozen: str, progress: Progress, *, is_last: bool) -> Features:
    """Build what computes and keeps features; raises CannotReplay or CacheError where that cannot be done."""
    if fit.recipe.mixup or fit.recipe.cutmix:
        raise CannotSplit("it is images that are mixed")
    if is_sharded(fit.network.model):
        raise CannotSplit("the network is divided between the processes")
    try:
        features = Features(build_extractor(fit, frozen, progress, is_last=is_last), fit.images, progress)
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        raise CannotSplit("memory is too short for the proof that once is enough") from error
    features.check_room(fit.recipe.num_views)
    return features
