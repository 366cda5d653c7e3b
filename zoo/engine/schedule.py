"""Learning rates, as shares of the highest one: functions of the step alone, without a state that could be lost."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from torch.optim import Optimizer

#: Of a one-cycle schedule: the share of its steps that rise, and the share of the highest rate that it begins at.
RISE, LOWEST = 0.25, 0.04
#: By how much the rate of the step schedule drops, twice.
DROP = 0.1


@dataclass(frozen=True)
class Schedule:
    """The rates of all optimizer steps of a run."""

    name: str
    #: How many steps there are.
    steps: int

    def share(self, step: int) -> float:
        """Return what share of the highest rate a step takes, from 0."""
        return SHARES[self.name](step, self.steps)

    def prepare(self, optimizer: Optimizer, step: int) -> None:
        """Give every group of parameters its rate for a step: the share of its own ``highest_lr``."""
        for group in optimizer.param_groups:
            group["lr"] = group["highest_lr"] * self.share(step)


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


SHARES: Mapping[str, Callable[[int, int], float]] = {
    "onecycle": one_cycle,
    "cosine": cosine,
    "step": two_drops,
    "constant": constant,
}
