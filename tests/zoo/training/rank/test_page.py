"""The page of a ranking is one file without scripts, with a table and a plot."""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import pairwise
from xml.etree import ElementTree as ET

import pytest

from zoo.training.rank.page import build_rank_page, plot_records
from zoo.training.rank.record import Ranked

GOOD = Ranked(
    name="acme/good@V1", rank=1, backbone="acme/good", weights="V1", accuracy=0.9, low=0.85, high=0.95, knn=0.8,
    knn_low=0.7, knn_high=0.9, logme=-0.1, loss=0.3, catalog=75.0, params=1000, bytes=4000, license="MIT",
    images_per_second=100.0, memory=5000, images=50, suggested=("first", "catalog", "probe"),
)  # fmt: skip
FAST = replace(
    GOOD, name="acme/fast@V1", rank=2, accuracy=0.7, low=0.6, high=0.8, images_per_second=900.0, catalog=None,
    suggested=(),
)  # fmt: skip
SLOW = replace(FAST, name="acme/slow@V1", images_per_second=5.0, accuracy=0.6, low=0.5)
BAD = Ranked(
    name="acme/<b>bad", backbone="acme/bad", weights="V1", catalog=None, params=1, license="MIT", images=50,
    problem="x<y",
)  # fmt: skip


def test_the_page_is_valid_and_needs_no_network() -> None:
    page = build_rank_page([GOOD, FAST, BAD], "my photos")
    body = page.partition("<body>")[2].partition("</body>")[0]
    ET.fromstring(body)
    assert re.findall(r"(?:src|href)=|url\(|https?:|<script", page) == []


def test_light_and_dark_are_supported() -> None:
    assert '<meta name="color-scheme" content="light dark"/>' in build_rank_page([GOOD], "photos")


def test_each_ranked_candidate_is_in_the_table_and_in_the_plot() -> None:
    page = build_rank_page([GOOD, FAST, BAD], "photos")
    assert page.count("acme/good@V1") == 3  # also in the sentence
    assert page.count("acme/fast@V1") == 2
    reasons = "first in the ranking, best by catalog: 75.0% on ImageNet, best by linear probe, 90.0% here"
    assert f"fine-tune acme/good@V1 ({reasons})" in page


def test_a_candidate_with_a_problem_is_named_with_the_reason() -> None:
    assert "⚠ acme/&lt;b&gt;bad: x&lt;y" in build_rank_page([GOOD, BAD], "photos")


def test_a_candidate_that_is_slower_and_less_accurate_is_not_on_the_front() -> None:
    plot = plot_records([GOOD, FAST, SLOW])
    assert plot is not None
    assert [point.record.name for point in plot.front] == ["acme/good@V1", "acme/fast@V1"]
    good, fast, _ = plot.points
    assert good.x < fast.x
    assert good.y < fast.y


@pytest.mark.parametrize(
    ("speeds", "labels"),
    [
        ((5.0, 900.0), ["5", "10", "20", "50", "100", "200", "500", "1,000"]),
        ((0.5, 20000.0), ["1", "10", "100", "1,000", "10,000"]),
        ((240.0, 440.0), ["240", "440"]),
        ((120.0, 170.0), ["120", "170"]),
        ((150.0, 240.0), ["150", "240"]),
        ((2.4, 3.6), ["2.4", "3.6"]),
        ((300.0, 301.0), ["300"]),
        ((300.0,), ["300"]),
    ],
    ids=str,
)
def test_the_speeds_have_labels(speeds: tuple[float, ...], labels: list[str]) -> None:
    plot = plot_records([replace(GOOD, images_per_second=speed) for speed in speeds])
    assert plot is not None
    assert [label for label, _ in plot.x_ticks] == labels


def test_the_numbers_of_equal_candidates_do_not_overlap() -> None:
    plot = plot_records([replace(GOOD, images_per_second=speed) for speed in (100.0, 100.0, 100.0)])
    assert plot is not None
    baselines = sorted(point.baseline for point in plot.points)
    assert all(higher - lower >= 15 for lower, higher in pairwise(baselines))


@pytest.mark.parametrize("records", [[], [BAD]], ids=["empty", "only problems"])
def test_without_ranked_candidates_there_is_no_plot(records: list[Ranked]) -> None:
    assert plot_records(records) is None


def test_the_accuracies_of_runs_are_shown() -> None:
    tuned = replace(GOOD, run="runs/x", tuned=0.97, tuned_low=0.9, tuned_high=0.99, tuned_split="test")
    page = build_rank_page([tuned, FAST], "photos")
    assert "acme/good@V1 is best: test accuracy 97.0%, 95% interval 90.0% to 99.0%, in runs/x" in page
    assert "<td>97.0%</td>" in page
