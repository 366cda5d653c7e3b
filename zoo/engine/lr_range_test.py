"""Which learning rate suits a network: tried out from far too low to far too high, in one short run.

Source: Smith 2015, arXiv:1506.01186.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain, count, islice

from torch import Tensor

from zoo.data.sampler import seed_of_step
from zoo.engine.batches import BatchSource
from zoo.engine.learner import Learner
from zoo.engine.schedule import Schedule
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


def try_rates(learner: Learner, feed: BatchSource, advance: Advance, steps: int = STEPS) -> list[Tried]:
    """Train at rising learning rates until the loss explodes.

    Args:
        learner: Learner that has not taken a step yet. Its model is of no use afterwards.
        feed: Batches to train on.
        advance: Function that is called with 1 after each step.
        steps: Maximum number of steps.
    """
    highest = learner.optimizer.param_groups[0]["initial_lr"]
    learner = replace(learner, schedule=Rising("rising", steps, highest=highest), average=None)
    learner.frozen.train()
    batches = chain.from_iterable(map(feed.train, count()))
    return list(_try(learner, islice(batches, steps), advance))


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
