"""Learning rate schedules as functions of the step. They have no state, so checkpoints do not need to store any."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from torch.optim import Optimizer

from zoo.registry.schedule_design import PLATEAU, ScheduleDesign

#: Fraction of a one-cycle schedule in which the learning rate rises, and the multiplier at which it starts.
RISE, LOWEST = 0.25, 0.04
#: Factor of each drop in the ``plateau`` schedule.
DROP = 0.1


@dataclass(frozen=True)
class Schedule:
    """The learning rates of all optimizer steps of a phase, as fractions of the maximum learning rate."""

    design: ScheduleDesign
    #: Number of steps, including warmup.
    steps: int
    #: Number of warmup steps.
    warmup: int = 0
    #: Number of drops so far, for ``plateau``.
    drops: int = 0
    #: Number of steps per epoch, for ``step``.
    epoch_steps: int = 1

    def find_problem(self) -> str | None:
        """Return a message if this is a ``step`` schedule whose first drop would come after the last step."""
        size = self.design.step_size
        if self.design.kind != "step" or self.warmup + size * self.epoch_steps < self.steps:
            return None
        after = f" and a warmup of {self.warmup / self.epoch_steps:.3g}" if self.warmup else ""
        count = self.steps // self.epoch_steps
        first, total = (f"{number} epoch{'s' * (number != 1)}" for number in (size, count))
        return f"the learning rate never drops: it would after {first}{after}, but the run has {total}"

    def factor(self, step: int) -> float:
        """Return the learning rate multiplier for a step; steps are numbered starting at 0."""
        if step < self.warmup:
            return (step + 1) / (self.warmup + 1)
        step, steps, design = step - self.warmup, max(1, self.steps - self.warmup), self.design
        if design.kind == "step":
            return design.gamma ** (step // (design.step_size * self.epoch_steps))
        # Warmup replaces the one-cycle schedule's own warmup. Otherwise the learning rate would rise twice.
        kind = "cosine" if self.warmup and design.kind == "onecycle" else design.kind
        return FACTORS[kind](step, steps) * DROP**self.drops

    def prepare(self, optimizer: Optimizer, step: int) -> None:
        """Set the learning rate of every parameter group to its ``initial_lr`` times the step's multiplier."""
        for group in optimizer.param_groups:
            group["lr"] = group["initial_lr"] * self.factor(step)


def one_cycle(step: int, steps: int) -> float:
    """Rise for a quarter of the steps, then fall to zero.

    Source: Smith 2018, arXiv:1803.09820. torch's OneCycleLR divides by zero in runs of four steps, and its learning
    rate is almost zero in a run of one step.
    """
    rise = max(1, round(steps * RISE))
    if step < rise:
        return LOWEST + (1 - LOWEST) * (1 - math.cos(math.pi * (step + 1) / rise)) / 2
    return (1 + math.cos(math.pi * (step + 1 - rise) / (steps - rise + 1))) / 2


def cosine(step: int, steps: int) -> float:
    """Fall to zero along half a cosine wave. Source: Loshchilov and Hutter 2017, arXiv:1608.03983, without restarts."""
    return (1 + math.cos(math.pi * step / steps)) / 2


def constant(_step: int, _steps: int) -> float:
    """Stay at the maximum learning rate."""
    return 1.0


#: Functions of the step and the number of steps, by kind. ``step`` also depends on the number of steps per epoch.
FACTORS: Mapping[str, Callable[[int, int], float]] = {
    "onecycle": one_cycle,
    "cosine": cosine,
    "constant": constant,
    "plateau": constant,
}


def count_drops(ranks: Sequence[tuple[float, float]]) -> int:
    """Return how often ``plateau`` has dropped the learning rate, given the ranks of the epochs (higher is better)."""
    best, waited, drops = (-math.inf, -math.inf), 0, 0
    for rank in ranks:
        best, waited = (rank, 0) if rank > best else (best, waited + 1)
        if waited == PLATEAU:
            drops, waited = drops + 1, 0
    return drops
