"""The epochs of a phase: train and evaluate, until the last epoch or until patience runs out."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from zoo.data.dataset import Images
from zoo.data.pixel_cache import Views
from zoo.engine.batches import BatchSource, build_sampler
from zoo.engine.criterion import Criterion
from zoo.engine.device import Hardware
from zoo.engine.ema import MovingAverage
from zoo.engine.interrupts import deferring_signals
from zoo.engine.learner import Learner
from zoo.engine.loop import EpochProgress, Score, Sums, evaluate, train_one_epoch
from zoo.engine.metrics import Epoch, find_best
from zoo.engine.micro_batches import MicroBatches
from zoo.engine.missing_gradients import find_missing_gradients
from zoo.engine.mixup import build_mix
from zoo.engine.optimizer import build_optimizer
from zoo.engine.phase_callbacks import PhaseCallbacks
from zoo.engine.schedule import Schedule, count_drops
from zoo.engine.state import TrainingState, list_trainable_state
from zoo.engine.torch_compile import CompiledModel, find_obstacle
from zoo.engine.unreadable import gather_unreadable
from zoo.errors import NotFinite, TrainingError
from zoo.models.blocks import list_blocks
from zoo.models.build import Network
from zoo.models.freeze import Frozen, list_batch_norms
from zoo.models.head import is_below_any
from zoo.models.sharding import is_sharded
from zoo.progress import Advance, Progress
from zoo.registry.recipe import Recipe


@dataclass(frozen=True)
class Phase:
    """The model, the images and the recipe of a phase."""

    network: Network
    frozen: Frozen
    images: Images
    views: Views
    #: Recipe of this phase.
    recipe: Recipe
    hardware: Hardware

    def run(self, source: BatchSource, state: TrainingState, callbacks: PhaseCallbacks, progress: Progress) -> None:
        """Train the remaining epochs of the phase.

        Raises:
            TrainingError: If the loss, the gradients or the trained weights are not finite.
        """
        assert state.learner is not None
        if problem := state.learner.schedule.find_problem():
            progress.say(f"note: {problem}")
        while not self._is_finished(state, progress):
            self._run_epoch(source, state, callbacks, progress)

    def begin(self, phase: int, source: BatchSource, state: TrainingState, progress: Progress) -> None:
        """Begin the phase, or resume it from the checkpoint."""
        state.begin_phase(phase, self._build_learner(source, progress), source.kind)

    def _is_finished(self, state: TrainingState, progress: Progress) -> bool:
        history, patience = state.phase_history, self.recipe.patience
        best = find_best(history)
        if len(history) == self.recipe.epochs:
            return True
        if best and patience and history[-1].epoch - best.epoch >= patience:
            progress.say(f"stopped early: no improvement since epoch {best.epoch}")
            return True
        return False

    def _run_epoch(
        self, source: BatchSource, state: TrainingState, callbacks: PhaseCallbacks, progress: Progress
    ) -> None:
        learner, count = state.learner, len(self.images.train) + len(self.images.val)
        assert learner is not None
        learner.schedule = replace(learner.schedule, drops=self._count_drops(state))
        lr = self.recipe.learning_rate * learner.schedule.factor(learner.steps)
        current = state.current = state.current or EpochProgress(len(state.history), Sums(self.hardware.device), lr)
        started = time.monotonic() - current.seconds

        def on_step() -> None:
            current.seconds = time.monotonic() - started
            if not learner.is_examined:
                self._examine(learner, state.phase + 1, callbacks, progress)
            callbacks.on_step()

        with progress.track(f"epoch {current.epoch + 1}", count) as advance:
            advance(current.sums.count)
            training = self._train(source, learner, current, advance, on_step)
            with learner.average.in_place() if learner.average else nullcontext():
                validation, probabilities = self._evaluate(source, learner, current, advance)
                state.require_finite()
                if not self.images.is_examined:
                    callbacks.on_unreadable(gather_unreadable(self.views, self.hardware.world))
                epoch = _summarize(current, training, validation, time.monotonic() - started, state.phase)
                with deferring_signals():
                    # The images of a fold must not choose the epoch, so the last one counts.
                    is_best = self.recipe.fold is not None or epoch.is_better_than(find_best(state.history))
                    callbacks.on_epoch(epoch, probabilities, self.network.model, is_best=is_best)
                    # This comes last, so that a run resumed from an earlier checkpoint repeats the evaluation.
                    state.end_epoch(epoch)

    def _examine(self, learner: Learner, phase: int, callbacks: PhaseCallbacks, progress: Progress) -> None:
        """Report and record the parameters that no gradient reached in the first step."""
        learner.is_examined = True
        trained = (parameter for group in learner.optimizer.param_groups for parameter in group["params"])
        found = find_missing_gradients(self.network.model, trained, phase)
        if found:
            progress.say(f"note: {found}")
            callbacks.on_missing_gradients(found)

    def _train(
        self,
        source: BatchSource,
        learner: Learner,
        current: EpochProgress,
        advance: Advance,
        on_step: Callable[[], None],
    ) -> Score:
        try:
            return train_one_epoch(learner, current, source.train(current.epoch, current.step), advance, on_step)
        except NotFinite as error:
            paths = [str(self.images.train[index].path) for index in source.list_batch(current.epoch, current.step)]
            raise NotFinite(
                f"{error} at step {current.step + 1} of epoch {current.epoch + 1}; try a lower `lr`. "
                f"The step was not taken. Images in the batch: {', '.join(paths)}"
            ) from error

    def _evaluate(
        self, source: BatchSource, learner: Learner, current: EpochProgress, advance: Advance
    ) -> tuple[Score, Tensor]:
        score, probabilities = evaluate(
            source.model, source.measure("val"), self.hardware, advance, learner.eval_micro_batches
        )
        if not math.isfinite(score.loss):
            raise TrainingError(f"validation loss {score.loss} after epoch {current.epoch + 1}; try a lower `lr`.")
        return score, probabilities

    def _build_schedule(self, epoch_steps: int) -> Schedule:
        steps = self.recipe.epochs * epoch_steps
        warmup = min(round(self.recipe.warmup * epoch_steps), steps)
        return Schedule(self.recipe.schedule_design, steps, warmup, epoch_steps=epoch_steps)

    def _count_drops(self, state: TrainingState) -> int:
        if self.recipe.schedule_design.kind != "plateau":
            return 0
        # During warmup, the learning rate has not reached its maximum yet, so nothing would be gained by lowering it.
        return count_drops([epoch.rank for epoch in state.phase_history[math.ceil(self.recipe.warmup) :]])

    def _build_learner(self, source: BatchSource, progress: Progress) -> Learner:
        recipe, model = self.recipe, self.network.model
        optimizer = build_optimizer(
            recipe.optimizer_design, model.parameters(), recipe.learning_rate, recipe.decay, self._choose_scale()
        )
        uses_batch_statistics = self._uses_batch_statistics()
        syncs_norms = recipe.sync_batch_norm and self.hardware.world.size > 1 and uses_batch_statistics
        least = 2 if uses_batch_statistics and not syncs_norms else 1
        is_fixed = syncs_norms or is_sharded(model)
        micro_batches = MicroBatches(recipe.accumulate, progress.say, least, is_fixed=is_fixed)
        aux_heads = [model.get_submodule(path) for path in self.network.head.aux_paths]
        # The loss of an auxiliary head that stays random would mislead the layers below it.
        is_aux_frozen = recipe.scope.is_head_only or any(not p.requires_grad for h in aux_heads for p in h.parameters())
        aux_weight = 0.0 if is_aux_frozen else self.network.backbone.aux_weight
        return Learner(
            model=source.model,
            frozen=self.frozen,
            criterion=Criterion(recipe.label_smoothing, aux_weight, self._weigh_classes()),
            optimizer=optimizer,
            schedule=self._build_schedule(source.steps),
            hardware=self.hardware,
            scaler=self.hardware.build_scaler(),
            seed=recipe.seed,
            mix=build_mix(recipe.mixup, recipe.cutmix, len(self.images.classes)),
            clip_norm=recipe.clip_norm,
            micro_batches=micro_batches,
            eval_micro_batches=MicroBatches(1, progress.say, is_fixed=is_sharded(model)),
            average=MovingAverage(list_trainable_state(model), recipe.ema) if recipe.ema else None,
            syncs_norms=syncs_norms,
            compiled=self._compile(source, micro_batches, progress),
        )

    def _compile(self, source: BatchSource, micro_batches: MicroBatches, progress: Progress) -> CompiledModel | None:
        if not self.recipe.compile:
            return None
        if obstacle := find_obstacle(source.kind, micro_batches):
            progress.say(f"note: ignoring `compile`: {obstacle}")
            return None
        sampler = build_sampler(self.recipe, self.images, self.hardware.world)
        return CompiledModel(source.model, len(sampler.local_part(source.list_batch(0, 0))), progress.say)

    def _uses_batch_statistics(self) -> bool:
        """Return whether a batch norm uses batch statistics, for which it needs more than one image."""
        self.frozen.train()
        return any(norm.training for norm in list_batch_norms(self.network.model))

    def _choose_scale(self) -> Callable[[nn.Parameter], float]:
        """Return a function that returns a parameter's learning rate multiplier, which decreases toward the input."""
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
        """Return the class weights, of shape (classes,), or None. Their mean over the training images is 1."""
        if self.recipe.balance != "loss":
            return None
        labels = torch.tensor([sample.label for sample in self.images.train])
        sizes = torch.bincount(labels, minlength=len(self.images.classes)).clamp(min=1)
        return (len(labels) / (len(sizes) * sizes)).to(self.hardware.device)


def _summarize(current: EpochProgress, training: Score, validation: Score, seconds: float, phase: int) -> Epoch:
    return Epoch(
        epoch=current.epoch + 1,
        train_loss=training.loss,
        train_accuracy=training.accuracy,
        val_loss=validation.loss,
        val_accuracy=validation.accuracy,
        lr=current.lr,
        train_seconds=round(current.seconds, 3),
        seconds=round(seconds, 3),
        phase=phase + 1,
    )
