"""The positions of curves, ticks and labels in chart.svg.jinja."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

# Edges of the plot in units of the SVG, which scales with the page. The templates contain the same numbers.
LEFT, RIGHT, TOP, BOTTOM = 58, 408, 50, 222


class Scale(NamedTuple):
    """A linear scale from values to positions in the SVG."""

    low: float
    high: float
    start: int
    end: int

    def place(self, value: float) -> float:
        """Return the position of a value: the middle of the scale if the scale has only one value."""
        share = (value - self.low) / (self.high - self.low) if self.high > self.low else 0.5
        return round(self.start + share * (self.end - self.start), 2)


@dataclass(frozen=True)
class Chart:
    """The curves of one metric for training and validation, with one value per epoch."""

    #: Name of the metric.
    metric: str
    epochs: Sequence[int]
    train: Sequence[float]
    val: Sequence[float]
    best: int
    unit: str = ""
    #: Upper bound of the values; the lower bound is 0.
    upper_bound: float = math.inf

    @cached_property
    def ticks(self) -> list[float]:
        """At least two round numbers whose range contains all values."""
        values = [value for value in (*self.train, *self.val) if math.isfinite(value)] or [0.0]
        low, high = min(values), max(values)
        if high - low < 1e-9 * max(1.0, abs(high)):
            low, high = low - (abs(low) * 0.1 or 0.1), high + (abs(high) * 0.1 or 0.1)
        low, high = max(low, 0.0), min(high, self.upper_bound)
        step = _round_step((high - low) / 4)
        first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
        return [round(number * step, 12) for number in range(first, last + 1)]

    @property
    def digits(self) -> int:
        """Number of decimals in the labels of the ticks."""
        return max(len(f"{tick:g}".partition(".")[2]) for tick in self.ticks)

    @property
    def labels(self) -> list[int]:
        """The epochs that have a label; few enough that the labels do not overlap."""
        step = max(1, round(_round_step(max(len(self.epochs) / 8, 1))))
        return [epoch for epoch in self.epochs if epoch % step == 0 or len(self.epochs) == 1]

    @cached_property
    def x(self) -> Scale:
        """The horizontal scale, from left to right."""
        return Scale(min(self.epochs), max(self.epochs), LEFT + 12, RIGHT - 12)

    @cached_property
    def y(self) -> Scale:
        """The vertical scale, from bottom to top."""
        return Scale(self.ticks[0], self.ticks[-1], BOTTOM, TOP)

    def list_points(self, kind: str) -> list[tuple[int, float, float, float]]:
        """List epoch, value, x and y of the finite values of a curve. ``kind`` is ``train`` or ``val``."""
        values = zip(self.epochs, self.train if kind == "train" else self.val, strict=True)
        finite = [(epoch, value) for epoch, value in values if math.isfinite(value)]
        return [(epoch, value, self.x.place(epoch), self.y.place(value)) for epoch, value in finite]


def _round_step(rough: float) -> float:
    """Return the smallest step of at least this size that is 1, 2, 2.5 or 5 times a power of ten."""
    power = 10.0 ** math.floor(math.log10(rough))
    return float(next(size * power for size in (1, 2, 2.5, 5, 10) if size * power >= rough * (1 - 1e-9)))
