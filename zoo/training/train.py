"""Train a run phase by phase, and verify that frozen tensors did not change."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from functools import partial

import torch
from torch import Tensor, nn

from zoo.engine.batches import BatchSource
from zoo.engine.distributed.world import World
from zoo.engine.features.features import choose_batch_source
from zoo.engine.loop import evaluate
from zoo.engine.metrics import find_best
from zoo.engine.micro_batches import MicroBatches
from zoo.engine.phase import Phase
from zoo.engine.state import TrainingState
from zoo.engine.unreadable import gather_unreadable
from zoo.errors import FrozenMoved
from zoo.models.sharding import copy_full_tensor, is_sharded
from zoo.progress import Progress
from zoo.training.callbacks import Callbacks
from zoo.training.prepare import Plan


def train(plan: Plan, state: TrainingState, callbacks: Callbacks, progress: Progress) -> None:
    """Train the remaining phases, starting from the given state, then evaluate the best model.

    Raises:
        FrozenMoved: If a frozen parameter or buffer changed.
        TrainingError: If the loss or the gradients are not finite.
        RunError: If the run folder cannot be written.
        PeerError: If another process of the run has died.
    """
    resumed = len(state.history)
    for index in range(state.phase, len(plan.phases)):
        phase, digest, is_last = plan.begin(index), plan.digests[index], index == len(plan.phases) - 1
        with closing(choose_batch_source(phase, digest, progress, is_last=is_last)) as source:
            phase.begin(index, source, state, progress)
            phase.run(source, state, callbacks, progress)
            callbacks.on_phase(_verify_frozen(phase, digest))
            if is_last:
                callbacks.on_last()
                _evaluate_best(phase, source, callbacks, progress, has_val=_is_from(state, resumed))


def _verify_frozen(phase: Phase, before: str) -> str:
    """Return the digest of the frozen tensors; raise FrozenMoved in all processes if it changed in one of them."""
    check = partial(phase.frozen.check, before)
    return phase.hardware.world.run_in_all(check, FrozenMoved)


def _is_from(state: TrainingState, resumed: int) -> bool:
    """Return whether the best epoch came after the given number of epochs."""
    best = find_best(state.history)
    return best is not None and best.epoch > resumed


def _evaluate_best(
    phase: Phase, source: BatchSource, callbacks: Callbacks, progress: Progress, *, has_val: bool
) -> None:
    """Evaluate the best model on the test images, and on the validation images if a resumed run needs it again."""
    splits = [split for split, is_needed in (("val", not has_val), ("test", bool(phase.images.test))) if is_needed]
    if splits:
        _load(callbacks.read_best(), phase.network.model, phase.hardware.world)
    for split in splits:
        parts = MicroBatches(1, progress.say, is_fixed=is_sharded(phase.network.model))
        with progress.track(f"evaluating {split}", len(getattr(phase.images, split))) as advance:
            score, probabilities = evaluate(source.model, source.measure(split), phase.hardware, advance, parts)
        if not phase.images.is_examined:
            callbacks.on_unreadable(gather_unreadable(phase.views, phase.hardware.world))
        if split == "test":
            progress.say(f"test: loss {score.loss:.4f} accuracy {score.accuracy:.3f}")
        callbacks.on_evaluated(split, score, probabilities)


def _load(best: Mapping[str, Tensor], model: nn.Module, world: World) -> None:
    """Load the first process's tensors into the model of every process. The others pass an empty mapping."""
    for name, target in model.state_dict().items():
        source = best[name].to(target.dtype) if best else torch.empty(target.shape, dtype=target.dtype)
        world.broadcast_([source])
        copy_full_tensor(target, source)
