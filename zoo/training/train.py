"""Training as a run: phase after phase, and what is frozen proved."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from zoo.data.dataset import Images
from zoo.data.pixel_cache import Views
from zoo.engine.batches import Feed
from zoo.engine.device import Hardware
from zoo.engine.distributed.world import World
from zoo.engine.features.features import choose_feed
from zoo.engine.fit import Fit
from zoo.engine.loop import evaluate
from zoo.engine.micro_batches import Parts
from zoo.engine.state import State
from zoo.errors import FrozenMoved
from zoo.models.build import Network
from zoo.models.freeze import Frozen, list_batch_norms, list_learning
from zoo.models.sharding import is_sharded, put
from zoo.plugin import BlockSpec
from zoo.progress import Progress
from zoo.registry.recipe import Recipe
from zoo.training.callbacks import Watch


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

    def begin(self, phase: int) -> Fit:
        """Freeze what does not learn in a phase."""
        recipe = self.phases[phase]
        frozen = freeze(self.network, self.blocks, recipe)
        views = self.views if recipe.augmentation != "none" else Views(self.views.plain, self.views.plain)
        return Fit(self.network, frozen, self.images, views, recipe, self.hardware)


def freeze(network: Network, blocks: tuple[BlockSpec, ...], recipe: Recipe) -> Frozen:
    """Freeze all that does not learn."""
    # With one image in a batch there is nothing that batch norms could learn their statistics from.
    norms = list_batch_norms(network.model) if recipe.batch_size == 1 else []
    return Frozen(network.model, list_learning(blocks, network.head, recipe.train), still=norms)


def train(plan: Plan, state: State, watch: Watch, progress: Progress) -> None:
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


def _prove_frozen(fit: Fit, before: str, watch: Watch) -> str:
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


def _test(fit: Fit, feed: Feed, watch: Watch, progress: Progress) -> None:
    _load(watch.read_best(), fit.network.model, fit.hardware.world)
    parts = Parts(1, progress.say, is_fixed=is_sharded(fit.network.model))
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
