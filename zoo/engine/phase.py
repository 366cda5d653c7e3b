"""The epochs of a phase: train, measure, until the last or until patience runs out."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import Protocol

import torch
from torch import Tensor, nn

from zoo.data.dataset import Images
from zoo.data.pixel_cache import Views
from zoo.engine.batches import BatchSource, make_order
from zoo.engine.criterion import Criterion
from zoo.engine.device import Hardware
from zoo.engine.distributed.sync_batch_norm import SharedNorms
from zoo.engine.ema import MovingAverage
from zoo.engine.interrupts import undisturbed
from zoo.engine.learner import Learner
from zoo.engine.loop import EpochProgress, Score, Sums, evaluate, train_one_epoch
from zoo.engine.metrics import Epoch, find_best
from zoo.engine.micro_batches import MicroBatches
from zoo.engine.mixup import build_mix
from zoo.engine.optimizer import build_optimizer
from zoo.engine.schedule import Schedule, count_drops
from zoo.engine.state import TrainingState, list_moving
from zoo.engine.torch_compile import CompiledModel, find_obstacle
from zoo.errors import NotFinite, TrainingError
from zoo.models.blocks import list_blocks
from zoo.models.build import Network
from zoo.models.freeze import Frozen, list_batch_norms
from zoo.models.head import is_below_any
from zoo.models.sharding import is_sharded
from zoo.progress import Advance, Progress
from zoo.registry.recipe import Recipe


class Watcher(Protocol):
    """Told how it goes."""

    def on_step(self) -> None:
        """Told after each step."""

    def on_epoch(self, epoch: Epoch, probabilities: Tensor, model: nn.Module, *, is_best: bool) -> None:
        """Told of each epoch, of the probabilities (N, classes) for the validation images, and whose they are."""


@dataclass(frozen=True)
class Phase:
    """Everything that the epochs of a phase share."""

    network: Network
    frozen: Frozen
    images: Images
    views: Views
    #: Of this phase.
    recipe: Recipe
    hardware: Hardware

    def run(self, feed: BatchSource, state: TrainingState, watcher: Watcher, progress: Progress) -> None:
        """Train epoch after epoch, from wherever the state is.

        Raises:
            TrainingError: the loss, the gradients or what was learned are not finite.
        """
        while not self._is_over(state, progress):
            self._run_epoch(feed, state, watcher, progress)

    def begin(self, phase: int, feed: BatchSource, state: TrainingState, progress: Progress) -> None:
        """Begin the phase, or go on with it where it was saved."""
        state.begin_phase(phase, self._build_learner(feed, progress), feed.kind)

    def _is_over(self, state: TrainingState, progress: Progress) -> bool:
        history, patience = state.phase_history, self.recipe.patience
        best = find_best(history)
        if len(history) == self.recipe.epochs:
            return True
        if best and patience and history[-1].epoch - best.epoch >= patience:
            progress.say(f"no better epoch since epoch {best.epoch}: stopped early")
            return True
        return False

    def _run_epoch(self, feed: BatchSource, state: TrainingState, watcher: Watcher, progress: Progress) -> None:
        learner, count = state.learner, len(self.images.train) + len(self.images.val)
        assert learner is not None
        learner.schedule = replace(learner.schedule, drops=self._count_drops(state))
        lr = self.recipe.learning_rate * learner.schedule.factor(learner.steps)
        current = state.current = state.current or EpochProgress(len(state.history), Sums(self.hardware.device), lr)
        started = time.monotonic() - current.seconds

        def on_step() -> None:
            current.seconds = time.monotonic() - started
            watcher.on_step()

        with progress.track(f"epoch {current.epoch + 1}", count) as advance:
            advance(current.sums.count)
            learned = self._learn(feed, learner, current, advance, on_step)
            with learner.average.in_place() if learner.average else nullcontext():
                measured, probabilities = self._measure(feed, learner, current, advance)
                state.require_finite()
                epoch = _sum_up(current, learned, measured, time.monotonic() - started, state.phase)
                with undisturbed():
                    is_best = epoch.is_better_than(find_best(state.history))
                    watcher.on_epoch(epoch, probabilities, self.network.model, is_best=is_best)
                    state.end_epoch(epoch)  # last: what is saved before repeats the epoch's end

    def _learn(
        self,
        feed: BatchSource,
        learner: Learner,
        current: EpochProgress,
        advance: Advance,
        on_step: Callable[[], None],
    ) -> Score:
        try:
            return train_one_epoch(learner, current, feed.train(current.epoch, current.step), advance, on_step)
        except NotFinite as error:
            paths = [str(self.images.train[index].path) for index in feed.list_batch(current.epoch, current.step)]
            raise NotFinite(
                f"{error} at step {current.step + 1} of epoch {current.epoch + 1}; try a lower `lr`. No step was "
                f"taken, and the best epoch so far is kept. The images of the batch: {', '.join(paths)}"
            ) from error

    def _measure(
        self, feed: BatchSource, learner: Learner, current: EpochProgress, advance: Advance
    ) -> tuple[Score, Tensor]:
        measured, probabilities = evaluate(
            feed.model, feed.measure("val"), self.hardware, advance, learner.eval_micro_batches
        )
        if not math.isfinite(measured.loss):
            raise TrainingError(
                f"validation loss {measured.loss} after epoch {current.epoch + 1}; try a lower `lr`. "
                "The best epoch so far is kept."
            )
        return measured, probabilities

    def _count_drops(self, state: TrainingState) -> int:
        if self.recipe.schedule != "plateau":
            return 0
        return count_drops([epoch.rank for epoch in state.phase_history])

    def _build_learner(self, feed: BatchSource, progress: Progress) -> Learner:
        recipe, model = self.recipe, self.network.model
        steps, classes = recipe.epochs * feed.steps, len(self.images.classes)
        optimizer = build_optimizer(
            recipe.optimizer, model.parameters(), recipe.learning_rate, recipe.decay, self._choose_scale()
        )
        world, uses_batch_statistics = self.hardware.world, self._uses_batch_statistics()
        norms = SharedNorms(world) if recipe.sync_batch_norm and world.size > 1 and uses_batch_statistics else None
        least = 2 if uses_batch_statistics and norms is None else 1
        is_fixed = norms is not None or is_sharded(model)
        micro_batches = MicroBatches(recipe.accumulate, progress.say, least, is_fixed=is_fixed)
        aux_weight = 0.0 if recipe.scope.is_head_only else self.network.backbone.aux_weight
        return Learner(
            model=feed.model,
            frozen=self.frozen,
            criterion=Criterion(recipe.label_smoothing, aux_weight, self._weigh_classes()),
            optimizer=optimizer,
            schedule=Schedule(recipe.schedule, steps, min(round(recipe.warmup * feed.steps), steps)),
            hardware=self.hardware,
            scaler=self.hardware.build_scaler(),
            seed=recipe.seed,
            mix=build_mix(recipe.mixup, recipe.cutmix, classes),
            clip_norm=recipe.clip_norm,
            micro_batches=micro_batches,
            eval_micro_batches=MicroBatches(1, progress.say, is_fixed=is_sharded(model)),
            average=MovingAverage(list_moving(model), recipe.ema) if recipe.ema else None,
            norms=norms,
            compiled=self._compile(feed, micro_batches, progress),
        )

    def _compile(self, feed: BatchSource, micro_batches: MicroBatches, progress: Progress) -> CompiledModel | None:
        if not self.recipe.compile:
            return None
        if obstacle := find_obstacle(feed.kind, micro_batches):
            progress.say(f"note: compile is left out: {obstacle}")
            return None
        order = make_order(self.recipe, self.images, self.hardware.world)
        return CompiledModel(feed.model, len(order.share_of(feed.list_batch(0, 0))), progress.say)

    def _uses_batch_statistics(self) -> bool:
        """Tell whether a batch norm learns its statistics, for which it takes more than one image."""
        self.frozen.train()
        return any(norm.training for norm in list_batch_norms(self.network.model))

    def _choose_scale(self) -> Callable[[nn.Parameter], float]:
        """Return by how much the rate of each parameter is lower: the more, the further it is from the head."""
        decay, network = self.recipe.layer_decay, self.network
        if decay == 1:
            return lambda _parameter: 1.0
        blocks = list_blocks(network.backbone, network.model, network.head)
        scales = {
            parameter: decay ** (len(blocks) - index)
            for index, block in enumerate(blocks)
            for name, parameter in network.model.named_parameters()
            if is_below_any(name, block.prefixes)
        }
        return lambda parameter: scales.get(parameter, 1.0)

    def _weigh_classes(self) -> Tensor | None:
        """Return what each class counts, where rare ones are to count more: on the mean over all images it is one."""
        if self.recipe.balance != "loss":
            return None
        sizes = torch.bincount(torch.tensor([sample.label for sample in self.images.train]))
        return (len(self.images.train) / (len(sizes) * sizes)).to(self.hardware.device)


def _sum_up(current: EpochProgress, learned: Score, measured: Score, seconds: float, phase: int) -> Epoch:
    return Epoch(
        epoch=current.epoch + 1,
        train_loss=learned.loss,
        train_accuracy=learned.accuracy,
        val_loss=measured.loss,
        val_accuracy=measured.accuracy,
        lr=current.lr,
        train_seconds=round(current.seconds, 3),
        seconds=round(seconds, 3),
        phase=phase + 1,
    )
