"""The phases of a run: what each one trains, and the training of phase after phase with the proof of what is frozen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor, nn

from zoo.data.dataset import Images
from zoo.data.pixel_cache import Views
from zoo.engine.batches import BatchSource
from zoo.engine.device import Hardware
from zoo.engine.distributed.world import World
from zoo.engine.features.features import choose_feed
from zoo.engine.loop import evaluate
from zoo.engine.micro_batches import MicroBatches
from zoo.engine.phase import Phase
from zoo.engine.state import TrainingState
from zoo.errors import FrozenMoved, OptionError
from zoo.models.blocks import list_stages, list_trainable
from zoo.models.build import Network
from zoo.models.freeze import Frozen, list_batch_norms
from zoo.models.sharding import is_sharded, put
from zoo.plugin import BlockSpec
from zoo.progress import Progress
from zoo.registry.recipe import BACKBONE_LR, Recipe
from zoo.registry.train_scope import HEAD, TrainScope
from zoo.training.callbacks import Callbacks

#: Of the epochs, the share in which the new head learns alone: what it learns from costs one pass over the images.
HEAD_SHARE = 1 / 3


def plan_phases(recipe: Recipe, blocks: Sequence[BlockSpec]) -> tuple[Recipe, ...]:
    """Return a recipe for each phase, with ``train`` one of ``head``, ``all`` and ``from:BLOCK``.

    What learns in a phase learns in all later ones. Together they have the epochs of the whole.

    Args:
        recipe: of the whole run.
        blocks: of the network, from input to output.

    Raises:
        OptionError: there are fewer epochs than phases are needed.
    """
    if not recipe.scope.is_phased:
        return (recipe,)
    stages = _choose_stages(list_stages(recipe.scope, blocks), recipe.epochs)
    if len(stages) < 2:
        raise OptionError(f"train {recipe.train} needs at least 2 epochs, got {recipe.epochs}.")
    first = max(1, round(recipe.epochs * HEAD_SHARE))
    each, more = divmod(recipe.epochs - first, len(stages) - 1)
    epochs = [first, *(each + (number < more) for number in range(len(stages) - 1))]
    head = replace(recipe, train=str(HEAD))
    # Beyond the head, the rate is lower by as much as the defaults are.
    ratio = BACKBONE_LR[recipe.optimizer] / replace(head, lr=None).learning_rate
    return tuple(
        replace(recipe, train=str(stage), epochs=count, lr=head.learning_rate * (1.0 if stage == HEAD else ratio))
        for stage, count in zip(stages, epochs, strict=True)
    )


def _choose_stages(stages: Sequence[TrainScope], epochs: int) -> Sequence[TrainScope]:
    """Choose as many as there are epochs for, evenly, the first and the last among them; none if that is one epoch."""
    count = min(len(stages), epochs - max(1, round(epochs * HEAD_SHARE)) + 1)
    return [stages[round(number * (len(stages) - 1) / (count - 1))] for number in range(count)] if count > 1 else []


@dataclass(frozen=True)
class Plan:
    """What is trained, on what, and in which phases."""

    network: Network
    blocks: tuple[BlockSpec, ...]
    phases: Sequence[Recipe]
    #: The digest of what is frozen in each phase, where it is known before the phase begins.
    frozen: Sequence[str | None]
    images: Images
    views: Views
    hardware: Hardware

    def begin(self, phase: int) -> Phase:
        """Freeze what does not learn in a phase."""
        recipe = self.phases[phase]
        frozen = freeze(self.network, self.blocks, recipe)
        views = self.views if recipe.augmentation != "none" else Views(self.views.plain, self.views.plain)
        return Phase(self.network, frozen, self.images, views, recipe, self.hardware)


def freeze(network: Network, blocks: tuple[BlockSpec, ...], recipe: Recipe) -> Frozen:
    """Freeze all that does not learn."""
    # With one image in a batch there is nothing that batch norms could learn their statistics from.
    norms = list_batch_norms(network.model) if recipe.batch_size == 1 else []
    return Frozen(network.model, list_trainable(blocks, network.head, recipe.scope), fixed=norms)


def train(plan: Plan, state: TrainingState, watch: Callbacks, progress: Progress) -> None:
    """Train, keep the best, prove that what is frozen did not move, and measure the best on the test images.

    Raises:
        FrozenMoved: something frozen changed; no model is left.
        TrainingError: the loss or the gradients are not finite.
        RunError: the run folder cannot be written any more.
        LostProcess: another process of the run is gone.
    """
    for phase in range(state.phase, len(plan.phases)):
        fit, is_last = plan.begin(phase), phase == len(plan.phases) - 1
        before = plan.frozen[phase] or fit.frozen.digest()
        with closing(choose_feed(fit, before, progress, is_last=is_last)) as feed:
            fit.begin(phase, feed, state, progress)
            fit.run(feed, state, watch, progress)
            watch.on_phase(_prove_frozen(fit, before, watch))
            if is_last:
                watch.on_last()
                if plan.images.test:
                    _test(fit, feed, watch, progress)


def _prove_frozen(fit: Phase, before: str, watch: Callbacks) -> str:
    """Return the digest of what is frozen, which is what it was before in all processes."""
    try:
        return fit.hardware.world.together(
            partial(fit.frozen.check, before),
            lambda error: isinstance(error, FrozenMoved),
            FrozenMoved,
        )
    except FrozenMoved:
        watch.on_moved()
        raise


def _test(fit: Phase, feed: BatchSource, watch: Callbacks, progress: Progress) -> None:
    _load(watch.read_best(), fit.network.model, fit.hardware.world)
    parts = MicroBatches(1, progress.say, is_fixed=is_sharded(fit.network.model))
    with progress.track("testing", len(fit.images.test)) as advance:
        score, probabilities = evaluate(feed.model, feed.measure("test"), fit.hardware, advance, parts)
    progress.say(f"test: loss {score.loss:.4f} accuracy {score.accuracy:.3f}")
    watch.on_test(score, probabilities)


def _load(best: Mapping[str, Tensor], model: nn.Module, world: World) -> None:
    """Load into the model of each process the tensors that the first one has."""
    for name, target in model.state_dict().items():
        source = best[name].to(target.dtype) if best else torch.empty(target.shape, dtype=target.dtype)
        world.spread_([source])
        put(target, source)
