"""A plot of the loss against the learning rate, as a standalone SVG."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from zoo.runs.report.chart import BOTTOM, LEFT, RIGHT, TOP, Scale
from zoo.runs.report.template import render_template

if TYPE_CHECKING:
    from zoo.engine.lr_range_test import TriedRate


def draw_rates(tried: Sequence[TriedRate], suggested: float | None) -> str:
    """Plot the losses against the learning rates, on a logarithmic axis, and mark the suggested learning rate."""
    points = [(math.log10(point.lr), point.loss) for point in tried]
    exponents, losses = zip(*points or [(0.0, 0.0)], strict=True)
    x = Scale(math.floor(min(exponents)), math.ceil(max(exponents)), LEFT + 12, RIGHT - 12)
    y = Scale(min(losses), max(losses), BOTTOM, TOP)
    best = None if suggested is None else math.log10(suggested)
    return render_template("lr_plot.svg.jinja", points=points, suggested=suggested, best=best, x=x, y=y)
