"""All epochs of a run: train, measure, remember the best."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from zoo.backbone import Network
from zoo.data.images import Images
from zoo.data.pixels import Views
from zoo.engine.device import Hardware
from zoo.engine.feed import Feed
from zoo.engine.loop import Criterion, Lap, Learner, Sums, evaluate, train_one_epoch
from zoo.engine.optimizer import build_optimizer
from zoo.engine.schedule import Schedule
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
    views: Views
    recipe: Recipe
    hardware: Hardware

    def run(self, feed: Feed, on_epoch: OnEpoch, progress: Progress) -> list[Epoch]:
        """Train epoch after epoch, until the last or until patience runs out.

        Raises:
            TrainingError: the loss or the gradients are not finite.
        """
        history: list[Epoch] = []
        best: Epoch | None = None
        learner = self._build_learner(feed)
        for number in range(1, self.recipe.epochs + 1):
            with progress.track(f"epoch {number}", len(self.images.train) + len(self.images.val)) as advance:
                epoch, probabilities = self._run_epoch(number, learner, feed, advance)
            is_best = epoch.is_better_than(best)
            best = epoch if best is None or is_best else best
            history.append(epoch)
            on_epoch(epoch, probabilities, is_best)
            if self.recipe.patience and number - best.epoch >= self.recipe.patience:
                progress.say(f"no better epoch since epoch {best.epoch}: stopped early")
                break
        return history

    def _run_epoch(self, number: int, learner: Learner, feed: Feed, advance: Advance) -> tuple[Epoch, Tensor]:
        started = time.monotonic()
        lr = self.recipe.learning_rate * learner.schedule.share(learner.steps)
        lap = Lap(number - 1, Sums(self.hardware.device))
        learned = train_one_epoch(learner, lap, feed.train(lap.epoch, lap.step), advance)
        measured, probabilities = evaluate(feed.model, feed.measure("val"), self.hardware, advance)
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

    def _build_learner(self, feed: Feed) -> Learner:
        recipe = self.recipe
        optimizer = build_optimizer(
            recipe.optimizer, self.network.model.parameters(), recipe.learning_rate, recipe.decay
        )
        aux_weight = 0.0 if recipe.train == "head" else self.network.backbone.aux_weight
        return Learner(
            model=feed.model,
            frozen=self.frozen,
            criterion=Criterion(recipe.label_smoothing, aux_weight),
            optimizer=optimizer,
            schedule=Schedule(recipe.schedule, recipe.epochs * feed.steps),
            hardware=self.hardware,
            scaler=self.hardware.build_scaler(),
            seed=recipe.seed,
        )
