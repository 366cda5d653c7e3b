"""Curves over epochs, as SVG that takes its colours from the page."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from zoo.runs.report.html import Html, join, tag

# In units of the SVG, which is as wide as the page lets it be.
WIDTH, HEIGHT = 420, 270
LEFT, RIGHT, TOP, BOTTOM = 58, 408, 50, 222
#: Above so many epochs, marks would touch one another.
MOST_MARKS = 40


@dataclass(frozen=True)
class Curve:
    """One line of a chart: a number for each epoch."""

    name: str
    #: Its class in the style sheet.
    kind: str
    values: Sequence[float]


@dataclass(frozen=True)
class Chart:
    """Curves that share their axes."""

    #: What is measured.
    measure: str
    epochs: Sequence[int]
    curves: Sequence[Curve]
    best: int
    unit: str = ""
    #: No value can be above it, nor below 0.
    most: float = math.inf


@dataclass(frozen=True)
class Scale:
    """From values to places in the drawing."""

    low: float
    high: float
    start: int
    end: int

    def place(self, value: float) -> float:
        """Return where a value is; in the middle where there is only one."""
        share = (value - self.low) / (self.high - self.low) if self.high > self.low else 0.5
        return round(self.start + share * (self.end - self.start), 2)


def draw_chart(chart: Chart) -> Html:
    """Draw a chart."""
    ticks = list_ticks(chart)
    x = Scale(min(chart.epochs), max(chart.epochs), LEFT + 12, RIGHT - 12)
    y = Scale(ticks[0], ticks[-1], BOTTOM, TOP)
    names = " and ".join(curve.name for curve in chart.curves)
    return tag(
        "svg",
        *_draw_values(ticks, y, chart),
        *_draw_epochs(chart.epochs, x),
        *_draw_best(chart, x),
        *(_draw_curve(curve, chart, x, y) for curve in chart.curves),
        *_draw_legend(chart.curves),
        viewBox=f"0 0 {WIDTH} {HEIGHT}",
        role="img",
        aria_label=f"{chart.measure} per epoch: {names}; the best epoch is {chart.best}",
    )


def list_ticks(chart: Chart) -> list[float]:
    """List round numbers that enclose all values, at least two."""
    values = [value for curve in chart.curves for value in curve.values if math.isfinite(value)] or [0.0]
    low, high = min(values), max(values)
    if high - low < 1e-9 * max(1.0, abs(high)):
        low, high = low - (abs(low) * 0.1 or 0.1), high + (abs(high) * 0.1 or 0.1)
    low, high = max(low, 0.0), min(high, chart.most)
    step = _round_step((high - low) / 4)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(number * step, 12) for number in range(first, last + 1)]


def _round_step(rough: float) -> float:
    """Return 1, 2, 2.5 or 5 times a power of ten that is at least as large."""
    power = 10.0 ** math.floor(math.log10(rough))
    return float(next(size * power for size in (1, 2, 2.5, 5, 10) if size * power >= rough * (1 - 1e-9)))


def _draw_values(ticks: Sequence[float], y: Scale, chart: Chart) -> Iterator[Html]:
    digits = max(len(f"{tick:g}".partition(".")[2]) for tick in ticks)
    for tick in ticks:
        at = y.place(tick)
        yield tag("line", x1=LEFT, x2=RIGHT, y1=at, y2=at, class_="grid")
        yield _text(f"{tick:.{digits}f}{chart.unit}", LEFT - 6, at + 4, "end")
    middle = (TOP + BOTTOM) // 2
    yield tag("text", chart.measure.lower(), text_anchor="middle", transform=f"translate(12 {middle}) rotate(-90)")


def _draw_epochs(epochs: Sequence[int], x: Scale) -> Iterator[Html]:
    step = max(1, round(_round_step(max(len(epochs) / 8, 1))))
    for epoch in epochs:
        if epoch % step == 0 or len(epochs) == 1:
            yield _text(str(epoch), x.place(epoch), BOTTOM + 18, "middle")
    yield _text("epoch", (LEFT + RIGHT) / 2, HEIGHT - 8, "middle")


def _draw_best(chart: Chart, x: Scale) -> Iterator[Html]:
    at = x.place(chart.best)
    anchor = "start" if at < LEFT + 60 else "end" if at > RIGHT - 60 else "middle"
    yield tag("line", x1=at, x2=at, y1=TOP - 6, y2=BOTTOM, class_="best")
    yield _text(f"best: epoch {chart.best}", at, TOP - 12, anchor)


def _draw_curve(curve: Curve, chart: Chart, x: Scale, y: Scale) -> Html:
    points = [
        (epoch, value, x.place(epoch), y.place(value))
        for epoch, value in zip(chart.epochs, curve.values, strict=True)
        if math.isfinite(value)
    ]
    line = tag("polyline", points=" ".join(f"{left},{top}" for _, _, left, top in points))
    marks: list[Html] = []
    for epoch, value, left, top in points:
        hint = tag("title", f"epoch {epoch}: {curve.name} {chart.measure.lower()} {value:.4g}{chart.unit}")
        if epoch == chart.best and curve.kind == "val":
            marks.append(tag("circle", hint, cx=left, cy=top, r=7, class_="ring"))
        if len(chart.epochs) <= MOST_MARKS:
            marks.append(_mark(curve.kind, left, top, hint))
    return tag("g", line, *marks, class_=curve.kind)


def _draw_legend(curves: Sequence[Curve]) -> Iterator[Html]:
    for number, curve in enumerate(curves):
        left = LEFT + number * 100
        line = tag("polyline", points=f"{left},12 {left + 30},12")
        yield tag("g", line, _mark(curve.kind, left + 15, 12), class_=curve.kind)
        yield _text(curve.name, left + 37, 16, "start")


def _mark(kind: str, left: float, top: float, hint: str = "") -> Html:
    """Mark a point by a form, so that colour is not all that tells curves apart."""
    content = join([hint]) if hint else Html()
    if kind == "val":
        return tag("circle", content, cx=left, cy=top, r=3.5)
    return tag("rect", content, x=round(left - 3, 2), y=round(top - 3, 2), width=6, height=6)


def _text(text: str, left: float, top: float, anchor: str) -> Html:
    return tag("text", text, x=round(left, 2), y=round(top, 2), text_anchor=anchor)
