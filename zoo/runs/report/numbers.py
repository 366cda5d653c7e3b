"""Numbers as people read them."""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import Any, NamedTuple


class Interval(NamedTuple):
    """Where the truth lies, 19 times of 20."""

    low: float
    high: float

    def __str__(self) -> str:
        # Rounded outwards, so that it never promises more than it may.
        return f"{math.floor(self.low * 1000) / 10:.1f}% to {math.ceil(self.high * 1000) / 10:.1f}%"


def measure_interval(right: int, total: int) -> Interval:
    """Return the 95% interval of a share of which ``total`` samples were seen.

    Wilson's score interval (Wilson 1927): unlike the usual plus-minus, it holds for few samples and near 0 and 1.
    """
    if not total:
        return Interval(0.0, 1.0)
    z = NormalDist().inv_cdf(0.975)
    share, weight = right / total, z * z / total
    middle = share + weight / 2
    spread = z * math.sqrt(share * (1 - share) / total + weight / (4 * total))
    # The ends are exact in theory and off by a rounding error in practice.
    low = (middle - spread) / (1 + weight) if right else 0.0
    high = (middle + spread) / (1 + weight) if right < total else 1.0
    return Interval(low, high)


def show_percent(share: float | None) -> str:
    """Show a share, such as 0.5; all and nothing are only called so when they are exact."""
    if share is None:
        return "—"
    if share in {0, 1}:
        return f"{share * 100:.0f}%"
    percent = min(max(share * 100, 0.1), 99.9)
    return f"{'<' if share < 0.0005 else ''}{percent:.1f}%"


def show_count(count: int, noun: str) -> str:
    """Show how many there are of something, such as ``1 image``; in the plural, ``es`` follows an ``s``."""
    plural = "" if count == 1 else "es" if noun.endswith("s") else "s"
    return f"{count:,} {noun}{plural}"


def show_short(count: int) -> str:
    """Show a large number in three digits."""
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if count >= size * 0.9995:
            return f"{count / size:.3g}{letter}"
    return str(count)


def show_seconds(seconds: float) -> str:
    """Show a duration."""
    if round(seconds, 1) < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def show_value(value: Any) -> str:
    """Show a setting or a fact of run.json."""
    if value is None:
        return "—"
    if isinstance(value, (list, tuple)):
        return ", ".join(map(show_value, value))
    return f"{value:.4g}" if isinstance(value, float) else str(value)
