"""Which learning rate suits a network: tried out from far too low to far too high, in one short run.

Source: Smith 2015, arXiv:1506.01186.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import count, islice

import torch
from torch import Tensor, nn

from zoo.data.sampler import seed_of_step
from zoo.engine.batches import BatchSource
from zoo.engine.learner import Learner
from zoo.engine.schedule import Schedule
from zoo.engine.state import list_moving
from zoo.engine.step import take_step
from zoo.errors import NotFinite
from zoo.progress import Advance

#: The rates that are tried, and how many of them.
LOWEST, HIGHEST, STEPS = 1e-6, 10.0, 100
#: How much of the mean loss so far goes into the next one.
SMOOTHING = 0.9
#: How many times the lowest loss ends the search.
EXPLODED = 4.0


@dataclass(frozen=True)
class Tried:
    """A rate, and the smoothed loss after a step at it."""

    lr: float
    loss: float


@dataclass(frozen=True)
class Rising(Schedule):
    """Rates that rise by the same factor at each step."""

    #: The optimizer's own highest rate, which the factors multiply.
    highest: float = 1.0

    def factor(self, step: int) -> float:
        """Return by what a step, from 0, multiplies the highest rate."""
        return rate_of(step, self.steps) / self.highest


def rate_of(step: int, steps: int) -> float:
    """Return the rate of a step, from 0."""
    return float(LOWEST * (HIGHEST / LOWEST) ** (step / max(1, steps - 1)))


def try_rates(
    learner: Learner, model: nn.Module, feed: BatchSource, advance: Advance, steps: int = STEPS
) -> list[Tried]:
    """Take steps at rising rates until the loss explodes; afterwards all is as it was before.

    Args:
        learner: whose rates they are.
        model: the whole network, which may be more than what the learner runs.
        feed: what is learned from.
        advance: told of each step.
        steps: how many there are at most.
    """
    highest = learner.optimizer.param_groups[0]["highest_lr"]
    trying = replace(learner, schedule=Rising("rising", steps, highest=highest), average=None, steps=0)
    before = _keep(learner, model)
    try:
        learner.frozen.train()
        return list(_try(trying, islice(_go_round(feed), steps), advance))
    finally:
        _put_back(learner, model, before)


def suggest(tried: Sequence[Tried]) -> float | None:
    """Return the rate at which the loss falls fastest, before its lowest point; None where it never falls."""
    lowest = min(range(len(tried)), key=lambda index: tried[index].loss, default=0)
    slopes = {
        tried[index].lr: tried[index + 1].loss - tried[index - 1].loss
        for index in range(1, min(lowest, len(tried) - 1))
    }
    best = min(slopes, key=lambda lr: slopes[lr], default=None)
    return best if best is not None and slopes[best] < 0 else None


def _try(learner: Learner, batches: Iterator[tuple[Tensor, Tensor]], advance: Advance) -> Iterator[Tried]:
    mean, lowest = 0.0, math.inf
    for step, (images, labels) in enumerate(batches):
        lr = rate_of(step, learner.schedule.steps)
        try:
            loss = take_step(learner, images, labels, seed_of_step(learner.seed, 0, step)).loss
        except NotFinite:
            return
        mean = SMOOTHING * mean + (1 - SMOOTHING) * loss.item()
        smooth = mean / (1 - SMOOTHING ** (step + 1))
        if not math.isfinite(smooth) or smooth > EXPLODED * lowest:
            return
        lowest = min(lowest, smooth)
        advance(1)
        yield Tried(lr, smooth)


def _go_round(feed: BatchSource) -> Iterator[tuple[Tensor, Tensor]]:
    for epoch in count():
        yield from feed.train(epoch, 0)


def _keep(learner: Learner, model: nn.Module) -> tuple[dict[str, Tensor], dict[str, object], Tensor]:
    tensors = {name: tensor.detach().clone() for name, tensor in list_moving(model).items()}
    return tensors, copy.deepcopy(learner.optimizer.state_dict()), torch.get_rng_state()


@torch.no_grad()
def _put_back(learner: Learner, model: nn.Module, before: tuple[dict[str, Tensor], dict[str, object], Tensor]) -> None:
    tensors, optimizer, generator = before
    for name, tensor in list_moving(model).items():
        tensor.copy_(tensors[name])
    learner.optimizer.load_state_dict(optimizer)
    learner.optimizer.zero_grad(set_to_none=True)
    torch.set_rng_state(generator)
