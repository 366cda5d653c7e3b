"""The page of a ranking: its table, and a plot of accuracy against speed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from zoo.runs.report.chart import BOTTOM, LEFT, RIGHT, TOP, Chart, Scale
from zoo.runs.report.template import render_template
from zoo.training.rank.record import Ranked
from zoo.training.rank.sentences import describe_suggestion, describe_winner

#: Width of a label of the axis with speeds.
_LABEL = 50
#: Width of a digit, and height of a number in the plot.
_DIGIT, _LINE = 9, 15


@dataclass(frozen=True)
class Point:
    """A candidate in the plot, and the positions of its accuracy and of its confidence interval."""

    #: Number of the candidate in the table.
    number: int
    record: Ranked
    x: float
    y: float
    low: float
    high: float
    #: Whether no candidate is both faster and more accurate.
    is_best: bool
    #: Positions of its number: the left edge, and the baseline.
    left: float = 0.0
    baseline: float = 0.0


@dataclass(frozen=True)
class ParetoPlot:
    """The positions of candidates, axes and labels."""

    points: Sequence[Point]
    #: Values and positions of the ticks.
    x_ticks: Sequence[tuple[str, float]]
    y_ticks: Sequence[tuple[str, float]]

    @property
    def front(self) -> list[Point]:
        """The best points, the slowest first."""
        return sorted((point for point in self.points if point.is_best), key=lambda point: point.x)


def build_rank_page(records: Sequence[Ranked], data: str) -> str:
    """Return the HTML of the page, a single file without scripts.

    Args:
        records: Records, the best first.
        data: Name of the data set.
    """
    return render_template(
        "rank.html.jinja",
        data=data,
        records=records,
        plot=plot_records(records),
        suggestion=describe_suggestion(records),
        winner=describe_winner(records),
        is_tuned=any(record.tuned is not None for record in records),
    )


def plot_records(records: Sequence[Ranked]) -> ParetoPlot | None:
    """Return a plot of accuracy against images per second, on a logarithmic axis; None without ranked candidates."""
    ranked = [(number, record) for number, record in enumerate(records, 1) if record.rank is not None]
    if not ranked:
        return None
    speeds = [math.log10(record.images_per_second or 1.0) for _, record in ranked]
    x = Scale(min(speeds) - 0.05, max(speeds) + 0.05, LEFT + 12, RIGHT - 12)
    percents = [100 * value for _, record in ranked for value in (record.low, record.high) if value is not None]
    ticks = Chart("Accuracy", [1], percents, percents, 1, upper_bound=100.0).ticks
    y = Scale(ticks[0], ticks[-1], BOTTOM, TOP)
    best = {number for number, record in ranked if not any(_beats(other, record) for _, other in ranked)}
    points = [
        Point(
            number=number,
            record=record,
            x=x.place(speed),
            y=y.place(100 * (record.accuracy or 0.0)),
            low=y.place(100 * (record.low or 0.0)),
            high=y.place(100 * (record.high or 0.0)),
            is_best=number in best,
        )
        for (number, record), speed in zip(ranked, speeds, strict=True)
    ]
    return ParetoPlot(
        _place_numbers(points), _list_speeds(x, speeds), [(f"{tick:g}%", y.place(tick)) for tick in ticks]
    )


def _place_numbers(points: Sequence[Point]) -> list[Point]:
    """Return points whose numbers are beside them, or above or below if they would overlap."""
    placed: list[Point] = []
    for point in points:
        nearest = replace(point, left=point.x + 7, baseline=point.y - 6)
        # The nearest place comes first.
        steps = sorted(range(-16, 17), key=abs)
        choices = (replace(nearest, baseline=nearest.baseline + step * _LINE) for step in steps)
        free = (
            one
            for one in choices
            if _LINE <= one.baseline <= BOTTOM and not any(_overlap(one, other) for other in placed)
        )
        placed.append(next(free, nearest))
    return placed


def _overlap(one: Point, other: Point) -> bool:
    """Return whether the numbers of two points overlap."""
    first, second = sorted((one, other), key=lambda point: point.left)
    is_beside = first.left + _DIGIT * len(str(first.number)) <= second.left
    return not is_beside and abs(one.baseline - other.baseline) < _LINE


def _beats(one: Ranked, other: Ranked) -> bool:
    """Return whether a candidate is at least as fast and as accurate as another one, and better in one of both."""
    mine, others = ((each.images_per_second or 0.0, each.accuracy or 0.0) for each in (one, other))
    return mine != others and all(value >= least for value, least in zip(mine, others, strict=True))


def _list_speeds(x: Scale, speeds: Sequence[float]) -> list[tuple[str, float]]:
    """Return 1, 2 and 5 times each power of ten in the range, and fewer of them in a wide range.

    If the range contains fewer than two of them, the smallest and the largest speed are shown instead, or one of these
    if their labels would overlap.
    """
    steps = (1,) if x.high - x.low > 2.5 else (1, 2, 5)
    values = [step * 10.0**power for power in range(math.floor(x.low), math.ceil(x.high) + 1) for step in steps]
    ticks = [(f"{value:,g}", x.place(math.log10(value))) for value in values if x.low <= math.log10(value) <= x.high]
    if len(ticks) > 1:
        return ticks
    ends = [
        (format(10**speed, ",.0f" if speed >= 1 else ".2g"), x.place(speed)) for speed in (min(speeds), max(speeds))
    ]
    return ends if ends[1][1] - ends[0][1] > _LABEL else ends[:1]
