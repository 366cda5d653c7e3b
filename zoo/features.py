"""The features of a run's images: computed when they are first asked for, kept on disk, found there by later runs."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing, nullcontext
from dataclasses import dataclass
from functools import partial
from importlib import metadata
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from zoo.cut import find_cut
from zoo.data.batches import EvalBatches, Loading
from zoo.data.images import Images, Sample
from zoo.data.order import plan_in_order
from zoo.data.pixels import Views
from zoo.engine.device import Hardware, plan_loading
from zoo.engine.feed import FeatureFeed, Feed, ImageFeed, Rows, prepare
from zoo.engine.fit import Fit
from zoo.engine.parts import Parts
from zoo.engine.world import World
from zoo.errors import CacheError
from zoo.fold import fold_norms
from zoo.memory import is_out_of_memory
from zoo.plugin import InputSpec
from zoo.progress import Advance, Progress
from zoo.replay import find_replay
from zoo.rest import CannotReplay, Rest
from zoo.shards import is_sharded
from zoo.store import check_room, drop_rows, find_rows, keep_rows

Result = TypeVar("Result")

#: Changes whenever zoo would make other features of the same images, or write them otherwise.
FORMAT = 2
#: Images that go through the network at a time; for other numbers kernels may round otherwise.
BATCH = 32
#: Images on which it is proved that the head alone gives the network's logits, and whose features are computed again
#: before those of an earlier run are believed.
PROOF = 4
#: How far these may be from what was kept, as a share of the largest one.
TOLERANCES = {"fp32": 1e-3, "bf16": 5e-2, "fp16": 1e-2}


@dataclass(frozen=True)
class Extractor:
    """Turns images into features."""

    model: nn.Module
    rest: Rest
    hardware: Hardware
    #: What is entered while the network computes.
    folded: AbstractContextManager[object]
    input: InputSpec
    views: Views
    augmentation: str
    erase: float
    parts: Parts
    workers: int | None
    #: The backbone's name, and a SHA-256 over all that is frozen.
    backbone: str
    frozen: str
    #: Whether nobody looks at the images any more, once their features are there.
    is_last: bool

    def describe(self, samples: Sequence[Sample], view: int | None) -> dict[str, Any]:
        """List everything that decides the features of these images."""
        return {
            "format": FORMAT,
            "backbone": self.backbone,
            "frozen": self.frozen,
            "taken": [self.rest.where, self.rest.width],
            "input": dataclasses.asdict(self.input),
            "augmentation": None if view is None else [self.augmentation, self.erase],
            "view": view,
            "hardware": [self.hardware.device.type, self.hardware.precision],
            "versions": {name: metadata.version(name) for name in ("zoo", "torch", "torchvision")},
            "images": [sample.digest for sample in samples],
        }

    @torch.no_grad()
    def compute(
        self,
        samples: Sequence[Sample],
        view: int | None,
        advance: Advance,
        plan: Sequence[Sequence[int]] | None = None,
    ) -> Iterator[Tensor]:
        """Yield the features batch by batch, each of shape (N, width).

        Args:
            samples: of which images.
            view: in which they are seen; None: the plain one.
            advance: told the number of images after each batch.
            plan: their indices, batch by batch, of all unless it is given.

        Raises:
            DataError: an image cannot be read any more.
        """
        self.model.eval()
        pixels = self.views.plain if view is None else self.views.train
        loading = plan_loading(self.hardware, BATCH, self.workers)
        with closing(EvalBatches(samples, pixels, loading, view, plan)) as batches:
            for images, _ in prepare(batches, pixels.normalise, self.hardware):
                yield self.parts.attempt(len(images), partial(self._take, images))
                advance(len(images))

    def compute_together(self, samples: Sequence[Sample], view: int | None, advance: Advance) -> Iterator[Tensor]:
        """Yield the features batch by batch, of which each process computes its share.

        Raises:
            DataError: an image cannot be read any more.
            LostProcess: another process is gone.
        """
        world = self.hardware.world
        chunks = plan_in_order(range(len(samples)), batch_size=BATCH * world.size)
        shares = [[chunk[place] for place in world.slice_of(len(chunk))] for chunk in chunks]
        computed = self.compute(samples, view, lambda _count: None, [share for share in shares if share])
        for chunk, share in zip(chunks, shares, strict=True):
            yield world.gather(next(computed) if share else None)
            advance(len(chunk))

    def _take(self, images: Tensor) -> Tensor:
        with self.hardware.autocast(), self.folded:
            return torch.cat([self.rest.take(self.model, some).cpu() for (some,) in self.parts.split(images)])


class Features:
    """The features of a run's images, view by view."""

    def __init__(self, extractor: Extractor, images: Images, progress: Progress) -> None:
        self._extractor = extractor
        self._images = images
        self._progress = progress
        self._plain: tuple[dict[str, int], Tensor] | None = None
        self._views: dict[int, Rows] = {}

    @property
    def rest(self) -> Rest:
        """What learns from them."""
        return self._extractor.rest

    def train(self, view: int) -> Rows:
        """Return those of the training images in a view, from 0.

        Raises:
            CacheError: they cannot be kept.
        """
        if self._extractor.augmentation == "none":
            return self.plain("train")
        if view not in self._views:
            rows = self._get(self._images.train, view)
            self._views[view] = Rows(rows, torch.arange(len(rows)))
        return self._views[view]

    def plain(self, split: str) -> Rows:
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
        return Rows(rows, torch.tensor([places[sample.digest] for sample in getattr(self._images, split)]))

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
            return _keep_together(world, about, len(samples), self._extractor.compute_together(samples, view, advance))

    def _is_true(self, rows: Tensor, samples: Sequence[Sample], view: int | None) -> bool:
        """Compute the first ones again: code that changed shows in no digest."""
        first = samples[:PROOF]
        found = torch.cat(list(self._extractor.compute(first, view, lambda _count: None)))
        return _are_close(rows[: len(first)], found, self._extractor.hardware)


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
        return isinstance(error, (CannotReplay, CacheError))

    return world.together(work, gives_up, lambda rank: CacheError(f"{rank} cannot do it"))


def choose_feed(fit: Fit, frozen: str, progress: Progress, *, is_last: bool = True) -> Feed:
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
            return FeatureFeed(features.rest, features, fit.images, recipe, world)
        except (CannotReplay, CacheError) as error:
            progress.say(f"note: what is frozen is computed at every epoch: {error}")
    return ImageFeed(fit.network.model, fit.images, fit.views, recipe, fit.hardware)


def _build_features(fit: Fit, frozen: str, progress: Progress, *, is_last: bool) -> Features:
    """Build what computes and keeps features; raises CannotReplay or CacheError where that cannot be done."""
    if fit.recipe.mixup or fit.recipe.cutmix:
        raise CannotReplay("it is images that are mixed")
    if is_sharded(fit.network.model):
        raise CannotReplay("the network is divided between the processes")
    try:
        features = Features(_build_extractor(fit, frozen, progress, is_last=is_last), fit.images, progress)
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        raise CannotReplay("memory is too short for the proof that once is enough") from error
    features.check_room(fit.recipe.num_views)
    return features


def _build_extractor(fit: Fit, frozen: str, progress: Progress, *, is_last: bool) -> Extractor:
    plain = fit.views.plain
    some = EvalBatches(fit.images.train[:PROOF], plain, Loading(batch_size=PROOF))
    ((images, _),) = prepare(some, plain.normalise, fit.hardware)
    with fit.hardware.autocast():
        rest = _find_rest(fit, images)
        folded = _fold(fit, rest, images)
    return Extractor(
        model=fit.network.model,
        rest=rest,
        hardware=fit.hardware,
        folded=folded,
        input=fit.network.input,
        views=fit.views,
        augmentation=fit.recipe.augmentation,
        erase=fit.recipe.erase,
        parts=Parts(1, progress.say),
        workers=fit.recipe.workers,
        backbone=fit.network.backbone.name,
        frozen=frozen,
        is_last=is_last,
    )


def _find_rest(fit: Fit, images: Tensor) -> Rest:
    """Find the least that can learn alone: the heads, or all after the last frozen module."""
    if fit.recipe.train != "head":
        return find_cut(fit.network, fit.frozen, images)
    try:
        return find_replay(fit.network, fit.frozen, images)
    except CannotReplay as reason:
        try:
            return find_cut(fit.network, fit.frozen, images)
        except CannotReplay:
            raise reason from None


def _fold(fit: Fit, rest: Rest, images: Tensor) -> AbstractContextManager[object]:
    """Fold batch norms where that gives the same features."""
    model = fit.network.model
    folded = fold_norms(model, images)
    if not len(folded):
        return nullcontext()
    wanted = rest.take(model, images)
    with folded:
        found = rest.take(model, images)
    return folded if _are_close(found, wanted, fit.hardware) else nullcontext()


def _are_close(found: Tensor, wanted: Tensor, hardware: Hardware) -> bool:
    tolerance = TOLERANCES[hardware.precision] * wanted.float().abs().max().item()
    return torch.allclose(found.float(), wanted.float(), rtol=0, atol=tolerance)
