"""All epochs of a run: train, measure, remember the best."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from zoo.backbone import Network
from zoo.data.batches import EvalBatches, Loading, TrainBatches
from zoo.data.images import Images
from zoo.data.transform import build_eval_transform, build_train_transform
from zoo.engine.device import Hardware
from zoo.engine.loop import Criterion, Learner, evaluate, train_one_epoch
from zoo.engine.optimizer import build_optimizer, build_schedule
from zoo.errors import TrainingError
from zoo.freeze import Frozen
from zoo.progress import Advance, Progress
from zoo.recipe import Recipe


@dataclass(frozen=True)
class Epoch:
    """What one epoch came to; a line of history.jsonl."""

    epoch: int
    train_loss: float
    train_accuracy: float
    val_loss: float
    val_accuracy: float
    #: The rate of the epoch's first step.
    lr: float
    seconds: float

    def is_better_than(self, other: Epoch | None) -> bool:
        """Compare by validation accuracy, and by validation loss where that is the same."""
        return other is None or (self.val_accuracy, -self.val_loss) > (other.val_accuracy, -other.val_loss)

    def __str__(self) -> str:
        return (
            f"epoch {self.epoch}: train loss {self.train_loss:.4f} accuracy {self.train_accuracy:.3f}, "
            f"val loss {self.val_loss:.4f} accuracy {self.val_accuracy:.3f} ({self.seconds:.1f} s)"
        )


#: Told of each epoch, the probabilities (N, classes) that it gave the validation images, and whether it is the best.
OnEpoch = Callable[[Epoch, Tensor, bool], None]


@dataclass(frozen=True)
class Fit:
    """Everything that the epochs share."""

    network: Network
    frozen: Frozen
    images: Images
    recipe: Recipe
    hardware: Hardware

    @property
    def loading(self) -> Loading:
        """How batches are loaded."""
        return plan_loading(self.hardware, self.recipe.batch_size, self.recipe.workers)

    def run(self, on_epoch: OnEpoch, progress: Progress) -> list[Epoch]:
        """Train epoch after epoch, until the last or until patience runs out.

        Raises:
            TrainingError: the loss or the gradients are not finite.
        """
        history: list[Epoch] = []
        best: Epoch | None = None
        with closing(self._build_train_batches()) as train, closing(self._build_val_batches()) as val:
            learner = self._build_learner(steps=self.recipe.epochs * len(train))
            for number in range(1, self.recipe.epochs + 1):
                with progress.track(f"epoch {number}", len(self.images.train) + len(self.images.val)) as advance:
                    epoch, probabilities = self._run_epoch(number, learner, (train, val), advance)
                is_best = epoch.is_better_than(best)
                best = epoch if best is None or is_best else best
                history.append(epoch)
                on_epoch(epoch, probabilities, is_best)
                if self.recipe.patience and number - best.epoch >= self.recipe.patience:
                    progress.say(f"no better epoch since epoch {best.epoch}: stopped early")
                    break
        return history

    def _run_epoch(
        self, number: int, learner: Learner, batches: tuple[TrainBatches, EvalBatches], advance: Advance
    ) -> tuple[Epoch, Tensor]:
        started = time.monotonic()
        train, val = batches
        lr = float(learner.schedule.get_last_lr()[0])
        learned = train_one_epoch(learner, train.epoch(number - 1), advance)
        measured, probabilities = evaluate(self.network.model, val, self.hardware, advance)
        if not math.isfinite(measured.loss):
            raise TrainingError(
                f"validation loss {measured.loss} after epoch {number}; try a lower --lr. "
                "The best epoch so far is kept."
            )
        epoch = Epoch(
            epoch=number,
            train_loss=learned.loss,
            train_accuracy=learned.accuracy,
            val_loss=measured.loss,
            val_accuracy=measured.accuracy,
            lr=lr,
            seconds=round(time.monotonic() - started, 3),
        )
        return epoch, probabilities

    def _build_train_batches(self) -> TrainBatches:
        transform = build_train_transform(self.network.input, self.recipe.augment)
        return TrainBatches(self.images.train, transform, self.loading, seed=self.recipe.seed)

    def _build_val_batches(self) -> EvalBatches:
        return EvalBatches(self.images.val, build_eval_transform(self.network.input), self.loading)

    def _build_learner(self, steps: int) -> Learner:
        recipe, model = self.recipe, self.network.model
        optimizer = build_optimizer(recipe.optimizer, model.parameters(), recipe.learning_rate, recipe.decay)
        aux_weight = 0.0 if recipe.train == "head" else self.network.backbone.aux_weight
        return Learner(
            model=model,
            frozen=self.frozen,
            criterion=Criterion(recipe.label_smoothing, aux_weight),
            optimizer=optimizer,
            schedule=build_schedule(recipe.schedule, optimizer, steps),
            hardware=self.hardware,
            scaler=self.hardware.build_scaler(),
        )


def place(model: nn.Module, hardware: Hardware) -> None:
    """Move a model to the device, its weights laid out for convolutions over channels-last images."""
    model.to(device=hardware.device, memory_format=torch.channels_last)  # type: ignore[call-overload]


def plan_loading(hardware: Hardware, batch_size: int, workers: int | None = None) -> Loading:
    """Return how batches are loaded for that hardware; workers None: one for each core, at most four."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    count = min(4, cores) if workers is None else workers
    return Loading(batch_size=batch_size, workers=count, pin_memory=hardware.device.type == "cuda")
