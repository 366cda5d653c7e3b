"""Numbers formatted for people."""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import Any, NamedTuple


class Interval(NamedTuple):
    """A 95% confidence interval."""

    low: float
    high: float

    def __str__(self) -> str:
        # The limits are rounded outward, so that the interval never looks narrower than it is.
        return f"{math.floor(self.low * 1000) / 10:.1f}% to {math.ceil(self.high * 1000) / 10:.1f}%"


def measure_interval(correct: int, total: int) -> Interval:
    """Return the 95% confidence interval of a proportion, such as ``correct`` correct predictions out of ``total``.

    This is Wilson's score interval (Wilson 1927). Unlike the normal approximation, it is valid for few samples and near
    0 and 1.
    """
    if not total:
        return Interval(0.0, 1.0)
    z = NormalDist().inv_cdf(0.975)
    proportion, weight = correct / total, z * z / total
    middle = proportion + weight / 2
    spread = z * math.sqrt(proportion * (1 - proportion) / total + weight / (4 * total))
    # In theory, the limits are exactly 0 and 1 in these cases; in practice, they are off by a rounding error.
    low = (middle - spread) / (1 + weight) if correct else 0.0
    high = (middle + spread) / (1 + weight) if correct < total else 1.0
    return Interval(low, high)


def measure_difference(wins: int, losses: int, total: int) -> Interval:
    """Return the 95% confidence interval of the difference of two accuracies on the same images.

    Only images that exactly one of both classifies correctly count. This is the adjusted Wald interval of Agresti and
    Min 2005, "Simple improved confidence intervals for comparing matched proportions".

    Args:
        wins: Number of images that only the first one classifies correctly.
        losses: Number of images that only the second one classifies correctly.
        total: Number of images.
    """
    gained, lost, count = wins + 0.5, losses + 0.5, total + 2
    middle = (gained - lost) / count
    spread = NormalDist().inv_cdf(0.975) * math.sqrt(gained + lost - (gained - lost) ** 2 / count) / count
    return Interval(middle - spread, middle + spread)


def show_percent(proportion: float | None) -> str:
    """Format a proportion such as 0.5. Only exact values are shown as 0% and 100%."""
    if proportion is None:
        return "—"
    if proportion in {0, 1}:
        return f"{proportion * 100:.0f}%"
    percent = min(max(proportion * 100, 0.1), 99.9)
    return f"{'<' if proportion < 0.0005 else ''}{percent:.1f}%"


def show_count(count: int, noun: str) -> str:
    """Format a count with its noun, such as ``1 image``. The plural of a noun that ends in ``s`` ends in ``es``."""
    plural = "" if count == 1 else "es" if noun.endswith("s") else "s"
    return f"{count:,} {noun}{plural}"


def show_short(count: int) -> str:
    """Format a large number with three digits."""
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if count >= size * 0.9995:
            return f"{count / size:.3g}{letter}"
    return str(count)


def show_seconds(seconds: float) -> str:
    """Format a duration."""
    if round(seconds, 1) < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def show_value(value: Any) -> str:
    """Format a setting or any other value in run.json."""
    if value is None:
        return "—"
    if isinstance(value, (list, tuple)):
        return ", ".join(map(show_value, value))
    return f"{value:.4g}" if isinstance(value, float) else str(value)
