"""The expected calibration error compares probabilities with accuracies, bin by bin."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from zoo.engine.calibration import NUM_BINS, measure_calibration
from zoo.files.metrics_schema import Calibration
from zoo.files.validation import check


def probabilities_of(sure: list[float]) -> torch.Tensor:
    """Return probabilities of two classes; the first class is predicted."""
    first = torch.tensor(sure, dtype=torch.float64)
    return torch.stack([first, 1 - first], 1)


def test_the_error_equals_the_one_computed_by_hand() -> None:
    # Three images with 0.9, of which two are correct, and one correct image with 0.6.
    found = measure_calibration(probabilities_of([0.9, 0.9, 0.9, 0.6]), torch.tensor([0, 0, 1, 0]))
    assert found["error"] == pytest.approx((3 * abs(0.9 - 2 / 3) + abs(0.6 - 1)) / 4)
    assert found["bins"] == [
        {"images": 1, "probability": pytest.approx(0.6), "accuracy": 1.0},
        {"images": 3, "probability": pytest.approx(0.9), "accuracy": pytest.approx(2 / 3)},
    ]


def test_a_model_that_is_certain_and_correct_has_no_error() -> None:
    assert measure_calibration(torch.eye(3), torch.arange(3)) == {
        "error": 0.0,
        "bins": [{"images": 3, "probability": 1.0, "accuracy": 1.0}],
    }


def test_without_images_there_are_no_bins() -> None:
    assert measure_calibration(torch.empty(0, 2), torch.empty(0, dtype=torch.int64)) == {"error": None, "bins": []}


def test_images_with_nan_do_not_count() -> None:
    probabilities = torch.tensor([[0.5, 0.5], [math.nan, math.nan]])
    assert measure_calibration(probabilities, torch.tensor([0, 0])) == {
        "error": 0.5,
        "bins": [{"images": 1, "probability": 0.5, "accuracy": 1.0}],
    }


@given(st.lists(st.tuples(st.floats(0.5, 1), st.booleans()), min_size=1, max_size=30))
@settings(max_examples=50, deadline=None)
def test_the_error_equals_a_loop_over_bins(images: list[tuple[float, bool]]) -> None:
    labels = torch.tensor([0 if is_correct else 1 for _, is_correct in images])
    found = measure_calibration(probabilities_of([sure for sure, _ in images]), labels)
    correct = (labels == 0).tolist()
    total = 0.0
    for number in range(NUM_BINS):
        inside = [
            (sure, right)
            for (sure, _), right in zip(images, correct, strict=True)
            if number / NUM_BINS < sure <= (number + 1) / NUM_BINS
        ]
        total += abs(math.fsum(sure for sure, _ in inside) - sum(right for _, right in inside))
    assert found["error"] == pytest.approx(total / len(images), abs=1e-9)
    assert sum(part["images"] for part in found["bins"]) == len(images)
    assert check(found, Calibration)
