"""Learning rates, as factors of the highest one: functions of the step alone, without a state that could be lost."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from torch.optim import Optimizer

#: Of a one-cycle schedule: the share of its steps that rise, and the share of the highest rate that it begins at.
RISE, LOWEST = 0.25, 0.04
#: By how much the rates of ``step``, twice, and of ``plateau`` drop.
DROP = 0.1
#: Epochs without a better one before the rate of ``plateau`` drops.
PLATEAU = 2


@dataclass(frozen=True)
class Schedule:
    """The rates of all optimizer steps of a run."""

    name: str
    #: How many steps there are.
    steps: int
    #: How many of them warm up, before the schedule itself begins.
    warmup: int = 0
    #: How often the rate has dropped since nothing got better: of ``plateau``.
    drops: int = 0

    def factor(self, step: int) -> float:
        """Return by what a step, from 0, multiplies the highest rate."""
        if step < self.warmup:
            return (step + 1) / (self.warmup + 1)
        return FACTORS[self.name](step - self.warmup, max(1, self.steps - self.warmup)) * DROP**self.drops

    def prepare(self, optimizer: Optimizer, step: int) -> None:
        """Give every group of parameters its rate for a step: the factor times its own ``initial_lr``."""
        for group in optimizer.param_groups:
            group["lr"] = group["initial_lr"] * self.factor(step)


def one_cycle(step: int, steps: int) -> float:
    """Rise for a quarter of the steps, then fall to zero.

    Source: Smith 2018, arXiv:1803.09820. torch's OneCycleLR divides by zero on runs of four steps, and takes the only
    step of a run of one at a rate of nearly nothing.
    """
    rise = max(1, round(steps * RISE))
    if step < rise:
        return LOWEST + (1 - LOWEST) * (1 - math.cos(math.pi * (step + 1) / rise)) / 2
    return (1 + math.cos(math.pi * (step + 1 - rise) / (steps - rise + 1))) / 2


def cosine(step: int, steps: int) -> float:
    """Fall to zero along half a wave. Source: Loshchilov and Hutter 2017, arXiv:1608.03983, without restarts."""
    return (1 + math.cos(math.pi * step / steps)) / 2


def two_drops(step: int, steps: int) -> float:
    """Drop to a tenth after each third."""
    return DROP ** (step // max(1, math.ceil(steps / 3)))


def constant(_step: int, _steps: int) -> float:
    """Stay at the highest rate."""
    return 1.0


FACTORS: Mapping[str, Callable[[int, int], float]] = {
    "onecycle": one_cycle,
    "cosine": cosine,
    "step": two_drops,
    "constant": constant,
    "plateau": constant,
}


def count_drops(ranks: Sequence[tuple[float, float]]) -> int:
    """Return how often ``plateau`` has dropped the rate after epochs of these ranks, of which higher is better."""
    best, waited, drops = (-math.inf, -math.inf), 0, 0
    for rank in ranks:
        best, waited = (rank, 0) if rank > best else (best, waited + 1)
        if waited == PLATEAU:
            drops, waited = drops + 1, 0
    return drops
