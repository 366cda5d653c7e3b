"""The loss over the learning rate, as an SVG that stands alone."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Protocol

from zoo.runs.report.chart import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH, Scale
from zoo.runs.report.html import Html, tag

STYLE = """
svg { background: #fff; font: 13px system-ui, sans-serif; fill: #555; }
.grid { stroke: #ddd; } .best { stroke: #555; stroke-dasharray: 2 4; }
polyline { fill: none; stroke: #0b6bcb; stroke-width: 2.25; stroke-linejoin: round; }
"""


class Point(Protocol):
    """A rate and what came of it."""

    @property
    def lr(self) -> float:
        """The rate."""

    @property
    def loss(self) -> float:
        """The smoothed loss."""


def draw_rates(tried: Sequence[Point], suggested: float | None) -> Html:
    """Draw the losses over the rates, on a logarithmic axis, and the rate that is suggested."""
    exponents = [math.log10(point.lr) for point in tried] or [0.0]
    losses = [point.loss for point in tried] or [0.0]
    x = Scale(math.floor(min(exponents)), math.ceil(max(exponents)), LEFT + 12, RIGHT - 12)
    y = Scale(min(losses), max(losses), BOTTOM, TOP)
    line = " ".join(f"{x.place(math.log10(point.lr))},{y.place(point.loss)}" for point in tried)
    return tag(
        "svg",
        tag("style", Html(STYLE)),
        *_draw_axes(x, y),
        *_draw_suggestion(suggested, x),
        tag("polyline", points=line),
        xmlns="http://www.w3.org/2000/svg",
        viewBox=f"0 0 {WIDTH} {HEIGHT}",
        role="img",
        aria_label=f"loss over learning rate; suggested is {suggested}",
    )


def _draw_axes(x: Scale, y: Scale) -> Iterator[Html]:
    for exponent in range(int(x.low), int(x.high) + 1):
        at = x.place(exponent)
        yield tag("line", x1=at, x2=at, y1=TOP, y2=BOTTOM, class_="grid")
        yield tag("text", f"1e{exponent}", x=at, y=BOTTOM + 18, text_anchor="middle")
    for value in (y.low, y.high):
        yield tag("text", f"{value:.3g}", x=LEFT - 6, y=y.place(value) + 4, text_anchor="end")
    yield tag("text", "learning rate", x=(LEFT + RIGHT) / 2, y=HEIGHT - 8, text_anchor="middle")
    yield tag("text", "loss", text_anchor="middle", transform=f"translate(12 {(TOP + BOTTOM) // 2}) rotate(-90)")


def _draw_suggestion(suggested: float | None, x: Scale) -> Iterator[Html]:
    if suggested is not None:
        at = x.place(math.log10(suggested))
        yield tag("line", x1=at, x2=at, y1=TOP - 6, y2=BOTTOM, class_="best")
        yield tag("text", f"{suggested:.1e}", x=at, y=TOP - 12, text_anchor="middle")
