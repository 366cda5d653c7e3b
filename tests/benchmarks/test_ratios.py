"""Figures of pairs."""

from __future__ import annotations

import pytest

from ratios import Spread, describe_accuracy, describe_work, spread, spread_ratios


def test_ratios_are_taken_within_pairs_and_not_of_medians() -> None:
    assert spread_ratios([(1.0, 4.0), (10.0, 20.0), (2.0, 6.0)]) == Spread(3.0, 2.0, 4.0)


def test_nothing_has_no_spread() -> None:
    assert spread([]) is None
    assert spread_ratios([(0.0, 1.0)]) is None


def test_a_single_pair_has_no_width() -> None:
    assert spread_ratios([(2.0, 5.0)]) == Spread(2.5, 2.5, 2.5)


def describe(images: int, epochs: int) -> list[str]:
    answer = {"images": images, "epochs": epochs}
    return describe_work(answer, images=100, epochs=2, batch_size=32)


def test_equal_work_is_not_worth_a_word() -> None:
    assert describe(200, 2) == []


def test_a_last_batch_that_is_left_out_is_said() -> None:
    assert describe(192, 2) == ["drops the last, smaller batch: 192 of 200 images"]


@pytest.mark.parametrize("images", [136, 100, 201])
def test_less_or_more_work_is_called_unequal(images: int) -> None:
    (note,) = describe(images, 2)
    assert note.startswith("UNEQUAL WORK")


def test_other_epochs_are_called_unequal_even_with_as_many_images() -> None:
    assert describe(200, 1) == ["UNEQUAL WORK: 1 epochs instead of 2"]


def test_accuracy_is_compared_as_a_mean_over_pairs() -> None:
    assert describe_accuracy([(0.97, 0.95), (0.95, 0.94)]) == "+1.5"
    assert describe_accuracy([(0.90, 0.95)]) == "-5.0"
    assert describe_accuracy([(0.950, 0.952), (0.952, 0.950)]) == "equal"
    assert describe_accuracy([]) == ""
