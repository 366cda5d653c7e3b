"""One pass over the data, to train or to evaluate a model."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from zoo.data.loader import Batch
from zoo.data.sampler import seed_of_step
from zoo.engine.criterion import Criterion
from zoo.engine.device import Hardware
from zoo.engine.distributed.world import ALONE, World
from zoo.engine.learner import Learner, StepResult
from zoo.engine.micro_batches import MicroBatches
from zoo.engine.step import take_step
from zoo.errors import DataError
from zoo.models.sharding import is_sharded
from zoo.progress import Advance

Batches = Iterable[Batch]


@dataclass(frozen=True)
class Score:
    """The mean loss and the accuracy over all samples."""

    loss: float
    accuracy: float


class Sums:
    """Sums over samples, which stay on the device until the score is computed."""

    def __init__(self, device: torch.device) -> None:
        self.loss = torch.zeros((), device=device)
        self.correct = torch.zeros((), device=device, dtype=torch.int64)
        self.count = 0

    def add(self, loss: Tensor, correct: Tensor, count: int) -> None:
        """Add a batch: its mean loss, its number of correct predictions, and its size."""
        self.loss += loss.detach().float() * count
        self.correct += correct.to(torch.int64)
        self.count += count

    def score(self, world: World = ALONE) -> Score:
        """Return the means over the samples of all processes."""
        loss, correct, count = world.sum_numbers([self.loss.item(), self.correct.item(), self.count])
        return Score(loss / count, correct / count)


@dataclass
class EpochProgress:
    """The progress of the current training epoch."""

    #: Index of the epoch.
    epoch: int
    sums: Sums
    #: Learning rate of the epoch's first step, in the parameter group with the highest learning rate.
    lr: float = 0.0
    #: Number of steps so far.
    step: int = 0
    #: Training time so far, in seconds.
    seconds: float = 0.0


def train_one_epoch(
    learner: Learner,
    current: EpochProgress,
    batches: Batches,
    advance: Advance,
    on_step: Callable[[], None] = lambda: None,
) -> Score:
    """Train for one epoch, or for the rest of an interrupted one.

    Args:
        learner: Model to train, with its optimizer.
        current: Progress of the epoch, updated after each step.
        batches: This process's part of the remaining batches, on the model's device: images of shape (N, C, H, W) or
            features of shape (N, width); labels of shape (N,); and any loss weights of shape (N,).
        advance: Function that is called after each step with the number of samples, over all processes.
        on_step: Function that is called after each step. An exception that it raises ends the epoch.

    Returns:
        The score on the training batches of all processes.

    Raises:
        NotFinite: If a loss or a gradient is not finite. The step is not taken.
        TrainingError: If memory is insufficient even for one image at a time.
        PeerError: If another process has died.
    """
    rank = learner.hardware.world.rank
    learner.frozen.train()

    def record(result: StepResult) -> None:
        current.sums.add(result.loss, result.correct, result.count)
        current.step += 1

    for batch in batches:
        seed = seed_of_step(learner.seed, current.epoch, current.step, rank)
        result = take_step(learner, batch, seed, record)
        advance(result.count)
        on_step()
    return current.sums.score()


@torch.no_grad()  # not inference_mode: a model may cache a tensor here and use it in training later
def evaluate(
    model: nn.Module, batches: Batches, hardware: Hardware, advance: Advance, micro_batches: MicroBatches | None = None
) -> tuple[Score, Tensor]:
    """Evaluate a model.

    Args:
        model: Model to evaluate. It is left in eval mode.
        batches: This process's part of the batches, on the model's device.
        hardware: Device and precision.
        advance: Function that is called after each batch with the approximate number of samples, over all processes.
        micro_batches: How batches are split if memory is short.

    Returns:
        The score over the samples of all processes, and the probabilities of these samples in order, of shape
        (N, classes), on the CPU.

    Raises:
        TrainingError: If memory is insufficient even for one image at a time.
        DataError: If the model is sharded, and no image of a batch can be read.
    """
    model.eval()
    criterion, micro_batches, world = Criterion(), micro_batches or MicroBatches(), hardware.world
    sums = Sums(hardware.device)
    probabilities = []
    for images, labels in batches:
        if not len(labels):  # None of its images can be read.
            if is_sharded(model):  # The other processes would wait for this one in the forward pass.
                raise DataError(
                    "none of the images in a batch can be read; use a larger `batch_size`, or turn off `shard`."
                )
            continue
        logits = micro_batches.attempt(len(labels), partial(_predict, model, images, hardware, micro_batches))
        with hardware.autocast():
            loss, _ = criterion(logits, labels)
        sums.add(loss, (logits.argmax(1) == labels).sum(), len(labels))
        probabilities.append(logits.float().softmax(1))
        advance(len(labels) * world.size)
    return sums.score(world), world.all_gather(torch.cat(probabilities).cpu() if probabilities else None)


def _predict(model: nn.Module, images: Tensor, hardware: Hardware, micro_batches: MicroBatches) -> Tensor:
    """Return logits of shape (N, classes)."""
    with hardware.autocast():
        logits: list[Tensor] = [model(micro_batch) for (micro_batch,) in micro_batches.split(images)]
    return torch.cat(logits) if len(logits) > 1 else logits[0]


def finite_or_none(number: float) -> float | None:
    """Return the number, or None if JSON cannot represent it."""
    return number if math.isfinite(number) else None
