"""Compute the features of images in batches, which are divided among the processes of the run."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from zoo.data.loader import EvalBatches, LoaderOptions
from zoo.data.sample import Sample
from zoo.data.sampler import plan_in_order
from zoo.engine.batches import prepare
from zoo.engine.device import plan_loading
from zoo.engine.features.after_block import split_after_block
from zoo.engine.features.fold_batch_norm import fold_norms
from zoo.engine.features.forward_pass import Forwards, replaced_forwards
from zoo.engine.features.head_only import split_head_only
from zoo.engine.features.tail import CannotSplit, Tail, are_close
from zoo.engine.micro_batches import MicroBatches
from zoo.engine.phase import Phase
from zoo.files.versions import read_versions
from zoo.progress import Advance, Progress

#: Version of the features, to be increased when zoo computes or writes them differently.
FORMAT = 4
#: Images per batch. Kernels may round differently for different batch sizes.
BATCH = 32
#: Number of images on which the tail is compared with the full network. Before zoo uses an earlier run's features, it
#: recomputes and compares the features of this number of images.
NUM_VERIFIED = 3
#: Largest difference between features that should be equal, as a fraction of the largest feature, by precision.
TOLERANCES = {"fp32": 1e-3, "bf16": 5e-2, "fp16": 1e-2}


@dataclass(frozen=True)
class Extractor:
    """The frozen part of a network, which computes the features of images for one phase."""

    phase: Phase
    #: Part of the network that is trained on the features.
    tail: Tail
    #: Replacements for `forward` that fold batch norms, used while features are computed.
    folded: Forwards
    #: SHA-256 of the frozen part.
    frozen: str
    micro_batches: MicroBatches

    def describe(self, samples: Sequence[Sample], view: int | None) -> dict[str, Any]:
        """Return everything that determines the features of these images."""
        network, recipe, hardware = self.phase.network, self.phase.recipe, self.phase.hardware
        return {
            "format": FORMAT,
            "backbone": network.backbone.name,
            "frozen": self.frozen,
            "taken": [self.tail.where, self.tail.width],
            "input": dataclasses.asdict(network.input),
            "augmentation": None if view is None else [recipe.augmentation, recipe.erase],
            "view": view,
            "hardware": [hardware.device.type, hardware.precision],
            "versions": read_versions("zoo", "torch", "torchvision", "pillow"),
            "images": [sample.digest.hex() for sample in samples],
        }

    @torch.no_grad()
    def compute(
        self, samples: Sequence[Sample], view: int | None, plan: Sequence[Sequence[int]] | None = None
    ) -> Iterator[Tensor]:
        """Yield features batch by batch, each of shape (N, width).

        Args:
            samples: Images.
            view: Index of the augmented view; None means the view without augmentation.
            plan: Indices of the images in each batch; None means all images in order.

        Raises:
            DataError: If an image can no longer be read.
        """
        phase = self.phase
        phase.network.model.eval()
        pixels = phase.views.plain if view is None else phase.views.train
        loading = plan_loading(phase.hardware, BATCH, phase.recipe.workers)
        with closing(EvalBatches(samples, pixels, loading, view, plan)) as batches:
            for images, _ in prepare(batches, pixels.normalize, phase.hardware):
                yield self.micro_batches.attempt(len(images), partial(self._take, images))

    def compute_together(self, samples: Sequence[Sample], view: int | None, advance: Advance) -> Iterator[Tensor]:
        """Yield features batch by batch; every process computes a slice of each batch and receives the full batch.

        Raises:
            DataError: If an image can no longer be read.
            PeerError: If another process has died.
        """
        world = self.phase.hardware.world
        chunks = plan_in_order(range(len(samples)), batch_size=BATCH * world.size)
        slices = [[chunk[place] for place in world.slice_of(len(chunk))] for chunk in chunks]
        computed = self.compute(samples, view, [indices for indices in slices if indices])
        for chunk, indices in zip(chunks, slices, strict=True):
            yield world.all_gather(next(computed) if indices else None)
            advance(len(chunk))

    def _take(self, images: Tensor) -> Tensor:
        model = self.phase.network.model
        with self.phase.hardware.autocast(), replaced_forwards(self.folded):
            return torch.cat([self.tail.extract(model, some).cpu() for (some,) in self.micro_batches.split(images)])


def build_extractor(phase: Phase, frozen: str, progress: Progress) -> Extractor:
    """Split the network, and build an extractor for the features of its frozen part.

    Raises:
        CannotSplit: If the trainable part cannot run on its own.
    """
    pixels = phase.views.plain
    batches = EvalBatches(phase.images.train[:NUM_VERIFIED], pixels, LoaderOptions(batch_size=NUM_VERIFIED))
    ((images, _),) = prepare(batches, pixels.normalize, phase.hardware)
    with phase.hardware.autocast():
        tail = _split(phase, images)
        folded = _fold(phase, tail, images)
    return Extractor(phase, tail, folded, frozen, MicroBatches(1, progress.say))


def _split(phase: Phase, images: Tensor) -> Tail:
    """Split off the heads if only they are trained, and everything after the last frozen module otherwise."""
    if not phase.recipe.scope.is_head_only:
        return split_after_block(phase.network, phase.frozen, images)
    try:
        return split_head_only(phase.network, phase.frozen, images)
    except CannotSplit as reason:
        try:
            return split_after_block(phase.network, phase.frozen, images)
        except CannotSplit:
            raise reason from None


def _fold(phase: Phase, tail: Tail, images: Tensor) -> Forwards:
    """Fold the batch norms, unless that changes the features."""
    model = phase.network.model
    folded = fold_norms(model, images)
    if not folded:
        return folded
    wanted = tail.extract(model, images)
    with replaced_forwards(folded):
        found = tail.extract(model, images)
    return folded if are_close(found, wanted, TOLERANCES[phase.hardware.precision]) else {}
