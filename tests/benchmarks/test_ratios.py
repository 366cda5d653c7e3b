"""Ratios are computed within pairs, and unequal work is reported."""

from __future__ import annotations

import pytest

from ratios import Spread, describe_accuracy, describe_work, spread, spread_ratios


def test_ratios_are_computed_within_pairs() -> None:
    assert spread_ratios([(1.0, 4.0), (10.0, 20.0), (2.0, 6.0)]) == Spread(3.0, 2.0, 4.0)


def test_without_values_there_is_no_spread() -> None:
    assert spread([]) is None
    assert spread_ratios([(0.0, 1.0)]) is None


def test_a_single_pair_has_no_range() -> None:
    assert spread_ratios([(2.0, 5.0)]) == Spread(2.5, 2.5, 2.5)


def describe(images: int, epochs: int) -> list[str]:
    answer = {"images": images, "epochs": epochs}
    return describe_work(answer, images=100, epochs=2, batch_size=32)


def test_equal_work_has_no_note() -> None:
    assert describe(200, 2) == []


def test_a_dropped_last_batch_is_reported() -> None:
    assert describe(192, 2) == ["drops the last, smaller batch: 192 of 200 images"]


@pytest.mark.parametrize("images", [136, 100, 201])
def test_more_or_less_work_is_reported_as_unequal(images: int) -> None:
    (note,) = describe(images, 2)
    assert note.startswith("unequal work")


def test_a_different_number_of_epochs_is_reported_as_unequal() -> None:
    assert describe(200, 1) == ["unequal work: 1 epochs instead of 2"]


def test_accuracy_is_compared_as_a_mean_over_pairs() -> None:
    assert describe_accuracy([(0.97, 0.95), (0.95, 0.94)]) == "+1.5"
    assert describe_accuracy([(0.90, 0.95)]) == "-5.0"
    assert describe_accuracy([(0.950, 0.952), (0.952, 0.950)]) == "equal"
    assert describe_accuracy([]) == ""
