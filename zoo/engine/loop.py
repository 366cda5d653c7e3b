"""One pass over the data: to learn from it, or to measure on it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from zoo.data.sampler import seed_of_step
from zoo.engine.criterion import Criterion
from zoo.engine.device import Hardware
from zoo.engine.distributed.world import ALONE, World
from zoo.engine.learner import Learner, StepResult
from zoo.engine.micro_batches import MicroBatches
from zoo.engine.step import take_step
from zoo.progress import Advance

Batches = Iterable[tuple[Tensor, Tensor]]


@dataclass(frozen=True)
class Score:
    """Means over all samples of a pass."""

    loss: float
    accuracy: float


class Sums:
    """Sums over samples that stay on the device until they are asked for."""

    def __init__(self, device: torch.device) -> None:
        self.loss = torch.zeros((), device=device)
        self.correct = torch.zeros((), device=device, dtype=torch.int64)
        self.count = 0

    def add(self, loss: Tensor, correct: Tensor, count: int) -> None:
        """Add a batch: its mean loss, how many were told right, and how many there were."""
        self.loss += loss.detach().float() * count
        self.correct += correct.to(torch.int64)
        self.count += count

    def score(self, world: World = ALONE) -> Score:
        """Return the means, over what all processes have added."""
        loss, correct, count = world.total([self.loss.item(), self.correct.item(), self.count])
        return Score(loss / count, correct / count)


@dataclass
class EpochProgress:
    """How far an epoch of learning has come."""

    #: Which one it is, from 0.
    epoch: int
    sums: Sums
    #: The highest rate of its first step.
    lr: float = 0.0
    #: Batches that were learned from.
    step: int = 0
    #: Seconds that went by before it was interrupted.
    seconds: float = 0.0


def train_one_epoch(
    learner: Learner,
    current: EpochProgress,
    batches: Batches,
    advance: Advance,
    on_step: Callable[[], None] = lambda: None,
) -> Score:
    """Learn from every batch once; at each step dropouts draw from a seed of its own.

    Args:
        learner: the model and what changes it.
        current: where it begins, and after each step where it is.
        batches: this process's share of each: images (N, C, H, W), or features (N, width), and labels (N,), where the
            model is; those that it has behind it are not among them.
        advance: told the number of samples, of all processes, after each step.
        on_step: called after each step, which signals do not tear apart; what it raises ends the epoch there.

    Raises:
        NotFinite: a loss or a gradient is not finite; the step that it belongs to was not taken.
        TrainingError: memory is short even for one image at a time.
        LostProcess: another process is gone.
    """
    rank = learner.hardware.world.rank
    learner.frozen.train()

    def note(learned: StepResult) -> None:
        current.sums.add(learned.loss, learned.correct, learned.count)
        current.step += 1

    for images, labels in batches:
        seed = seed_of_step(learner.seed, current.epoch, current.step, rank)
        learned = take_step(learner, images, labels, seed, note)
        advance(learned.count)
        on_step()
    return current.sums.score()


@torch.no_grad()  # not inference_mode: a network may keep a tensor that it made here, and train with it later
def evaluate(
    model: nn.Module, batches: Batches, hardware: Hardware, advance: Advance, parts: MicroBatches | None = None
) -> tuple[Score, Tensor]:
    """Measure the model on every batch; each process has its share of them.

    Returns:
        The score, and the probabilities of the samples of all processes in their order, of shape (N, classes), on the
        CPU.

    Raises:
        TrainingError: memory is short even for one image at a time.
    """
    model.eval()
    criterion, parts, world = Criterion(), parts or MicroBatches(), hardware.world
    sums = Sums(hardware.device)
    probabilities = []
    for images, labels in batches:
        logits = parts.attempt(len(labels), partial(_predict, model, images, hardware, parts))
        with hardware.autocast():
            loss, _ = criterion(logits, labels)
        sums.add(loss, (logits.argmax(1) == labels).sum(), len(labels))
        probabilities.append(logits.float().softmax(1))
        advance(len(labels) * world.size)
    return sums.score(world), world.gather(torch.cat(probabilities).cpu() if probabilities else None)


def _predict(model: nn.Module, images: Tensor, hardware: Hardware, parts: MicroBatches) -> Tensor:
    """Return logits of shape (N, classes)."""
    with hardware.autocast():
        logits: list[Tensor] = [model(some) for (some,) in parts.split(images)]
    return torch.cat(logits) if len(logits) > 1 else logits[0]


def finite_or_none(number: float) -> float | None:
    """Return what JSON can hold of a number."""
    return number if math.isfinite(number) else None
