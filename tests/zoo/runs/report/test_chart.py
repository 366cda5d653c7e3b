"""Charts draw each value in the right place."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from xml.etree import ElementTree as ET

import pytest

from zoo.runs.report.chart import BOTTOM, LEFT, RIGHT, TOP, Chart
from zoo.runs.report.template import render_template


def make_chart(train: Sequence[float], val: Sequence[float], *, best: int = 1, upper_bound: float = math.inf) -> Chart:
    return Chart("Loss", range(1, len(train) + 1), train, val, best, upper_bound=upper_bound)


def draw(chart: Chart) -> ET.Element:
    return ET.fromstring(render_template("chart.svg.jinja", chart=chart))


def line_of(drawing: ET.Element, kind: str) -> list[tuple[float, float]]:
    points = drawing.findall(f"g[@class='{kind}']/polyline")[0].get("points", "").split()
    return [(float(x), float(y)) for x, y in (point.split(",") for point in points)]


def texts_of(drawing: ET.Element) -> list[str]:
    return [element.text or "" for element in drawing.findall("text")]


def test_a_falling_loss_goes_down_from_left_to_right() -> None:
    points = line_of(draw(make_chart([3, 2, 1], [3, 2.5, 2], best=3)), "train")
    assert [x for x, _ in points] == sorted(x for x, _ in points)
    assert [y for _, y in points] == sorted(y for _, y in points)  # y increases downward


@pytest.mark.parametrize("values", [[0.0], [0.5, 0.5], [1e-9, 2e-9], [1e6, 3.0, 0.1], [2.0, math.nan, 1.0, math.inf]])
def test_everything_is_drawn_inside_the_axes(values: list[float]) -> None:
    drawing = draw(make_chart(values, values))
    for x, y in line_of(drawing, "train") + line_of(drawing, "val"):
        assert LEFT <= x <= RIGHT
        assert TOP <= y <= BOTTOM


def test_values_that_are_not_finite_are_left_out() -> None:
    assert len(line_of(draw(make_chart([2.0, math.nan, math.inf, 1.0], [1.0] * 4)), "train")) == 2


def test_a_chart_without_finite_values_is_drawn() -> None:
    assert "epoch" in texts_of(draw(make_chart([math.nan], [math.nan])))


def test_a_single_epoch_is_a_marker_in_the_middle() -> None:
    drawing = draw(make_chart([0.5], [0.4]))
    mark = drawing.find("g[@class='val']/circle[@r='3.5']")
    assert mark is not None
    assert float(mark.get("cx", "")) == (LEFT + RIGHT) / 2
    assert {"1", "epoch", "loss", "best: epoch 1"} <= set(texts_of(drawing))


def test_the_best_epoch_is_circled_and_labeled() -> None:
    drawing = draw(make_chart([3, 2, 1], [3, 1, 2], best=2))
    ring = drawing.find("g[@class='val']/circle[@class='ring']")
    line = drawing.find("line[@class='best']")
    assert ring is not None
    assert line is not None
    assert (float(ring.get("cx", "")), float(ring.get("cy", ""))) == line_of(drawing, "val")[1]
    assert line.get("x1") == ring.get("cx")
    assert "best: epoch 2" in texts_of(drawing)


def test_each_marker_has_its_value_as_a_title() -> None:
    titles = [title.text for title in draw(make_chart([0.5, 0.25], [0.4, 0.3])).iter("title")]
    assert "epoch 2: training loss 0.25" in titles
    assert "epoch 1: validation loss 0.4" in titles


@pytest.mark.parametrize(("epochs", "marks"), [(40, 40), (41, 0)])
def test_many_epochs_are_drawn_without_markers(epochs: int, marks: int) -> None:
    values = [1 / epoch for epoch in range(1, epochs + 1)]
    drawing = draw(make_chart(values, values))
    assert len(drawing.findall("g[@class='train']/rect[title]")) == marks
    assert len(line_of(drawing, "train")) == epochs


@pytest.mark.parametrize("epochs", [2, 9, 30, 1000])
def test_labels_of_epochs_do_not_overlap(epochs: int) -> None:
    values = [1 / epoch for epoch in range(1, epochs + 1)]
    labels = [text for text in texts_of(draw(make_chart(values, values))) if text.isdigit()]
    assert 2 <= len(labels) <= 10


@pytest.mark.parametrize(
    ("values", "upper_bound"),
    [
        ([0.0, 0.0], 100.0),
        ([100.0, 100.0], 100.0),
        ([97.5, 99.9], 100.0),
        ([0.3, 7.0], math.inf),
        ([1e5, 2e5], math.inf),
    ],
)
def test_ticks_are_even_enclose_the_values_and_stay_within_bounds(values: list[float], upper_bound: float) -> None:
    ticks = make_chart(values, values, upper_bound=upper_bound).ticks
    assert 0 <= ticks[0] <= min(values) <= max(values) <= ticks[-1] <= upper_bound
    assert 2 <= len(ticks) <= 7
    steps = [after - before for before, after in itertools.pairwise(ticks)]
    assert steps == pytest.approx([steps[0]] * len(steps))
