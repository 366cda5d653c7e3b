"""A learning rate range test: a short training run at learning rates from far too low to far too high.

Source: Smith 2015, arXiv:1506.01186.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain, count, islice

from zoo.data.loader import Batch
from zoo.data.sampler import seed_of_step
from zoo.engine.batches import BatchSource
from zoo.engine.learner import Learner
from zoo.engine.schedule import Schedule
from zoo.engine.step import take_step
from zoo.errors import NotFinite
from zoo.progress import Advance

#: First and last learning rate, and number of steps.
LOWEST, HIGHEST, STEPS = 1e-6, 10.0, 100
#: Weight of the previous losses in the moving average.
SMOOTHING = 0.9
#: Factor by which the loss must exceed its minimum for the test to end early.
EXPLODED = 4.0


@dataclass(frozen=True)
class TriedRate:
    """A learning rate, and the smoothed loss of the step taken at that rate."""

    lr: float
    loss: float


@dataclass(frozen=True)
class ExponentialSchedule(Schedule):
    """A learning rate that grows by the same factor at each step."""

    #: Learning rate of the optimizer, to which the multipliers apply.
    initial_lr: float = 1.0

    def factor(self, step: int) -> float:
        """Return the learning rate multiplier for a step; steps are numbered starting at 0."""
        return lr_at(step, self.steps) / self.initial_lr


def lr_at(step: int, steps: int) -> float:
    """Return the learning rate of a step; steps are numbered starting at 0."""
    return float(LOWEST * (HIGHEST / LOWEST) ** (step / max(1, steps - 1)))


def try_rates(learner: Learner, source: BatchSource, advance: Advance, steps: int = STEPS) -> list[TriedRate]:
    """Train at rising learning rates until the loss explodes.

    Args:
        learner: Learner that has not taken a step yet. The test changes its model, which is not restored.
        source: Batches to train on.
        advance: Function that is called with 1 after each step.
        steps: Maximum number of steps.
    """
    initial_lr = learner.optimizer.param_groups[0]["initial_lr"]
    schedule = ExponentialSchedule(learner.schedule.design, steps, initial_lr=initial_lr)
    learner.frozen.train()
    batches = chain.from_iterable(map(source.train, count()))
    return list(_run(replace(learner, schedule=schedule, average=None), islice(batches, steps), advance))


def suggest_rate(tried: Sequence[TriedRate]) -> float | None:
    """Return the learning rate at which the loss falls fastest before its minimum, or None if it never falls."""
    lowest = min(range(len(tried)), key=lambda index: tried[index].loss, default=0)
    slopes = {
        tried[index].lr: tried[index + 1].loss - tried[index - 1].loss
        for index in range(1, min(lowest, len(tried) - 1))
    }
    best = min(slopes, key=lambda lr: slopes[lr], default=None)
    return best if best is not None and slopes[best] < 0 else None


def _run(learner: Learner, batches: Iterator[Batch], advance: Advance) -> Iterator[TriedRate]:
    mean, lowest = 0.0, math.inf
    for step, batch in enumerate(batches):
        lr = lr_at(step, learner.schedule.steps)
        try:
            loss = take_step(learner, batch, seed_of_step(learner.seed, 0, step)).loss
        except NotFinite:
            return
        mean = SMOOTHING * mean + (1 - SMOOTHING) * loss.item()
        smooth_loss = mean / (1 - SMOOTHING ** (step + 1))
        if not math.isfinite(smooth_loss) or smooth_loss > EXPLODED * lowest:
            return
        lowest = min(lowest, smooth_loss)
        advance(1)
        yield TriedRate(lr, smooth_loss)
