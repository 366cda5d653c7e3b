"""How images become features: what of the network is run for them, in how many parts, by which processes."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, closing, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from zoo.data.loader import EvalBatches, LoaderOptions
from zoo.data.pixel_cache import Views
from zoo.data.sample import Sample
from zoo.data.sampler import plan_in_order
from zoo.engine.batches import prepare
from zoo.engine.device import Hardware, plan_loading
from zoo.engine.features.after_block import split_after_block
from zoo.engine.features.fold_batch_norm import fold_norms
from zoo.engine.features.head_only import split_head_only
from zoo.engine.features.tail import CannotSplit, Tail, are_close
from zoo.engine.micro_batches import MicroBatches
from zoo.engine.phase import Phase
from zoo.files.versions import read_versions
from zoo.plugin import InputSpec
from zoo.progress import Advance, Progress

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
    rest: Tail
    hardware: Hardware
    #: What is entered while the network computes.
    folded: AbstractContextManager[object]
    input: InputSpec
    views: Views
    augmentation: str
    erase: float
    parts: MicroBatches
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
            "versions": read_versions("zoo", "torch", "torchvision", "pillow"),
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


def build_extractor(fit: Phase, frozen: str, progress: Progress, *, is_last: bool) -> Extractor:
    """Build what computes the features that are learned from; raises CannotReplay where nothing can learn alone."""
    plain = fit.views.plain
    some = EvalBatches(fit.images.train[:PROOF], plain, LoaderOptions(batch_size=PROOF))
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
        parts=MicroBatches(1, progress.say),
        workers=fit.recipe.workers,
        backbone=fit.network.backbone.name,
        frozen=frozen,
        is_last=is_last,
    )


def _find_rest(fit: Phase, images: Tensor) -> Tail:
    """Find the least that can learn alone: the heads, or all after the last frozen module."""
    if not fit.recipe.scope.is_head_only:
        return split_after_block(fit.network, fit.frozen, images)
    try:
        return split_head_only(fit.network, fit.frozen, images)
    except CannotSplit as reason:
        try:
            return split_after_block(fit.network, fit.frozen, images)
        except CannotSplit:
            raise reason from None


def _fold(fit: Phase, rest: Tail, images: Tensor) -> AbstractContextManager[object]:
    """Fold batch norms where that gives the same features."""
    model = fit.network.model
    folded = fold_norms(model, images)
    if not len(folded):
        return nullcontext()
    wanted = rest.take(model, images)
    with folded:
        found = rest.take(model, images)
    return folded if are_close(found, wanted, TOLERANCES[fit.hardware.precision]) else nullcontext()
