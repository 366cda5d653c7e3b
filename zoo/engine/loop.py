"""One pass over the data: to learn from it, or to measure on it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from zoo.data.order import seed_of_step
from zoo.engine.device import Hardware
from zoo.engine.schedule import Schedule
from zoo.errors import TrainingError
from zoo.freeze import Frozen
from zoo.progress import Advance

Batches = Iterable[tuple[Tensor, Tensor]]


@dataclass(frozen=True)
class Score:
    """Means over all samples of a pass."""

    loss: float
    accuracy: float


class Criterion:
    """Cross entropy, plus that of auxiliary heads where they speak."""

    def __init__(self, label_smoothing: float = 0.0, aux_weight: float = 0.0) -> None:
        self._loss = nn.CrossEntropyLoss(label_smoothing=label_smoothing)
        self._aux_weight = aux_weight

    def __call__(self, output: Tensor | tuple[Tensor, ...], labels: Tensor) -> tuple[Tensor, Tensor]:
        """Return the loss, and the logits of shape (N, classes); ``output`` is logits, or logits and auxiliary ones."""
        logits, *aux = (output,) if isinstance(output, Tensor) else output
        loss = self._loss(logits, labels)
        if self._aux_weight:
            for aux_logits in aux:
                loss = loss + self._aux_weight * self._loss(aux_logits, labels)
        return loss, logits


@dataclass
class Learner:
    """What one step of learning needs, and how many were taken."""

    model: nn.Module
    frozen: Frozen
    criterion: Criterion
    optimizer: Optimizer
    schedule: Schedule
    hardware: Hardware
    scaler: torch.amp.GradScaler
    #: Of the run, which decides what dropouts drop.
    seed: int
    #: Optimizer steps that were taken.
    steps: int = 0


class Sums:
    """Sums over samples that stay on the device until they are asked for."""

    def __init__(self, device: torch.device) -> None:
        self.loss = torch.zeros((), device=device)
        self.correct = torch.zeros((), device=device, dtype=torch.int64)
        self.count = 0

    def add(self, loss: Tensor, logits: Tensor, labels: Tensor) -> None:
        """Add a batch: its mean loss, its logits of shape (N, classes) and its labels of shape (N,)."""
        self.loss += loss.detach().float() * len(labels)
        self.correct += (logits.detach().argmax(1) == labels).sum()
        self.count += len(labels)

    def score(self) -> Score:
        """Return the means."""
        return Score(self.loss.item() / self.count, self.correct.item() / self.count)


@dataclass
class Lap:
    """How far an epoch of learning has come."""

    #: Which one it is, from 0.
    epoch: int
    sums: Sums
    #: Batches that were learned from.
    step: int = 0


def train_one_epoch(
    learner: Learner, lap: Lap, batches: Batches, advance: Advance, on_step: Callable[[], None] = lambda: None
) -> Score:
    """Learn from every batch once; at each step dropouts draw from a seed of its own.

    Args:
        learner: the model and what changes it.
        lap: where it begins, and after each step where it is.
        batches: images (N, C, H, W), or features (N, width), and labels (N,), where the model is; those that the lap
            has behind it are not among them.
        advance: told the number of samples after each step.
        on_step: called after each step; what it raises ends the epoch there.

    Raises:
        TrainingError: a loss or a gradient is not finite; the step that it belongs to was not taken.
    """
    learner.frozen.train()
    for images, labels in batches:
        torch.manual_seed(seed_of_step(learner.seed, lap.epoch, lap.step))
        with learner.hardware.autocast():
            loss, logits = learner.criterion(learner.model(images), labels)
        learner.optimizer.zero_grad(set_to_none=True)
        learner.scaler.scale(loss).backward()  # type: ignore[no-untyped-call]  # torch's own
        _take_step(learner, loss, lap.step)
        lap.sums.add(loss, logits, labels)
        lap.step += 1
        advance(len(labels))
        on_step()
    return lap.sums.score()


@torch.no_grad()  # not inference_mode: a network may keep a tensor that it made here, and train with it later
def evaluate(model: nn.Module, batches: Batches, hardware: Hardware, advance: Advance) -> tuple[Score, Tensor]:
    """Measure the model on every batch.

    Returns:
        The score, and the probabilities of all samples in their order, of shape (N, classes), on the CPU.
    """
    model.eval()
    criterion = Criterion()
    sums = Sums(hardware.device)
    probabilities = []
    for images, labels in batches:
        with hardware.autocast():
            loss, logits = criterion(model(images), labels)
        sums.add(loss, logits, labels)
        probabilities.append(logits.float().softmax(1).cpu())
        advance(len(labels))
    return sums.score(), torch.cat(probabilities)


def finite_or_none(number: float) -> float | None:
    """Return what JSON can hold of a number."""
    return number if math.isfinite(number) else None


def _take_step(learner: Learner, loss: Tensor, step: int) -> None:
    """Let the optimizer move, after a look at what would move it."""
    learner.scaler.unscale_(learner.optimizer)
    gradients = [p.grad for group in learner.optimizer.param_groups for p in group["params"] if p.grad is not None]
    norm = torch.nn.utils.get_total_norm(gradients)
    # With fp16 the scaler itself passes over a step whose gradients overflowed, and scales less from then on.
    watched = loss.detach() if learner.scaler.is_enabled() else torch.stack((loss.detach().float(), norm.float()))
    if not watched.isfinite().all():
        rate = learner.optimizer.param_groups[0]["highest_lr"] * learner.schedule.share(learner.steps)
        raise TrainingError(
            f"loss {loss.item():.4g} with gradient norm {norm.item():.4g} at step {step + 1} of the epoch, "
            f"learning rate {rate:.2g}; try a lower --lr. The best epoch so far is kept."
        )
    scale = learner.scaler.get_scale()
    learner.schedule.prepare(learner.optimizer, learner.steps)
    learner.scaler.step(learner.optimizer)
    learner.scaler.update()
    if learner.scaler.get_scale() >= scale:  # else the step was passed over
        learner.steps += 1
