"""Numbers are easy to read and do not claim more precision than they have."""

from __future__ import annotations

import pytest

from zoo.runs.report.numbers import (
    Interval,
    measure_interval,
    show_count,
    show_percent,
    show_seconds,
    show_short,
    show_value,
)


# Table I in Newcombe, "Two-sided confidence intervals for the single proportion", Statistics in Medicine 17 (1998).
@pytest.mark.parametrize(
    ("right", "total", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_the_interval_agrees_with_published_values(right: int, total: int, low: float, high: float) -> None:
    assert measure_interval(right, total) == pytest.approx((low, high), abs=5e-5)
    assert measure_interval(total - right, total) == pytest.approx((1 - high, 1 - low), abs=5e-5)


def test_without_samples_the_interval_is_0_to_1() -> None:
    assert measure_interval(0, 0) == (0.0, 1.0)


@pytest.mark.parametrize("total", [1, 7, 1000])
def test_the_interval_contains_the_proportion_and_stays_between_0_and_1(total: int) -> None:
    for right in range(total + 1):
        interval = measure_interval(right, total)
        assert 0 <= interval.low <= right / total <= interval.high <= 1


def test_an_interval_is_rounded_outward() -> None:
    assert str(Interval(0.49016, 0.94332)) == "49.0% to 94.4%"


@pytest.mark.parametrize(
    ("share", "shown"),
    [
        (None, "—"),
        (0.0, "0%"),
        (0.0001, "<0.1%"),
        (0.931, "93.1%"),
        (0.99999, "99.9%"),
        (1.0, "100%"),
    ],
)
def test_only_exact_values_are_0_or_100_percent(share: float | None, shown: str) -> None:
    assert show_percent(share) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"), [(3.21, "3.2 s"), (59.96, "1 min 0 s"), (192.4, "3 min 12 s"), (7500, "2 h 5 min")]
)
def test_durations_have_at_most_two_units(seconds: float, shown: str) -> None:
    assert show_seconds(seconds) == shown


@pytest.mark.parametrize(
    ("count", "shown"),
    [(999, "999"), (8_194, "8.19k"), (134_268_738, "134M"), (999_900, "1M"), (1_100_000_000, "1.1G")],
)
def test_large_numbers_have_three_digits(count: int, shown: str) -> None:
    assert show_short(count) == shown


def test_nouns_agree_with_their_number() -> None:
    assert [show_count(1, "class"), show_count(2, "class"), show_count(1200, "image")] == [
        "1 class",
        "2 classes",
        "1,200 images",
    ]


@pytest.mark.parametrize(
    ("value", "shown"), [(None, "—"), (True, "True"), (1 / 3, "0.3333"), ((3, 0.5, None), "3, 0.5, —"), ("a", "a")]
)
def test_settings_of_any_type_are_formatted(value: object, shown: str) -> None:
    assert show_value(value) == shown
