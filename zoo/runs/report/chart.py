"""Curves over epochs: where chart.svg.jinja draws what."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

# In units of the SVG, which is as wide as the page lets it be. The templates know them as well.
LEFT, RIGHT, TOP, BOTTOM = 58, 408, 50, 222


class Scale(NamedTuple):
    """From values to places in the drawing."""

    low: float
    high: float
    start: int
    end: int

    def place(self, value: float) -> float:
        """Return where a value is; in the middle where there is only one."""
        share = (value - self.low) / (self.high - self.low) if self.high > self.low else 0.5
        return round(self.start + share * (self.end - self.start), 2)


@dataclass(frozen=True)
class Chart:
    """The curves of training and validation: a number for each epoch."""

    #: What is measured.
    measure: str
    epochs: Sequence[int]
    train: Sequence[float]
    val: Sequence[float]
    best: int
    unit: str = ""
    #: No value can be above it, nor below 0.
    most: float = math.inf

    @cached_property
    def ticks(self) -> list[float]:
        """Round numbers that enclose all values, at least two."""
        values = [value for value in (*self.train, *self.val) if math.isfinite(value)] or [0.0]
        low, high = min(values), max(values)
        if high - low < 1e-9 * max(1.0, abs(high)):
            low, high = low - (abs(low) * 0.1 or 0.1), high + (abs(high) * 0.1 or 0.1)
        low, high = max(low, 0.0), min(high, self.most)
        step = _round_step((high - low) / 4)
        first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
        return [round(number * step, 12) for number in range(first, last + 1)]

    @property
    def digits(self) -> int:
        """How many digits the ticks have after the point."""
        return max(len(f"{tick:g}".partition(".")[2]) for tick in self.ticks)

    @property
    def labels(self) -> list[int]:
        """The epochs that are labelled: few enough that the labels do not touch."""
        step = max(1, round(_round_step(max(len(self.epochs) / 8, 1))))
        return [epoch for epoch in self.epochs if epoch % step == 0 or len(self.epochs) == 1]

    @cached_property
    def x(self) -> Scale:
        """From left to right."""
        return Scale(min(self.epochs), max(self.epochs), LEFT + 12, RIGHT - 12)

    @cached_property
    def y(self) -> Scale:
        """From the bottom to the top."""
        return Scale(self.ticks[0], self.ticks[-1], BOTTOM, TOP)

    def list_points(self, kind: str) -> list[tuple[int, float, float, float]]:
        """List epoch, value, x and y of the finite values of a curve, which is ``train`` or ``val``."""
        values = zip(self.epochs, self.train if kind == "train" else self.val, strict=True)
        finite = [(epoch, value) for epoch, value in values if math.isfinite(value)]
        return [(epoch, value, self.x.place(epoch), self.y.place(value)) for epoch, value in finite]


def _round_step(rough: float) -> float:
    """Return 1, 2, 2.5 or 5 times a power of ten that is at least as large."""
    power = 10.0 ** math.floor(math.log10(rough))
    return float(next(size * power for size in (1, 2, 2.5, 5, 10) if size * power >= rough * (1 - 1e-9)))
