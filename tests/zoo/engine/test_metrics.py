from __future__ import annotations

import json

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from zoo.engine.metrics import MAX_MATRIX, measure
from zoo.files.schema import Metrics
from zoo.files.validation import check

CLASSES = ("ant", "bee", "cat")


def one_hot(predicted: list[int], count: int = 3) -> torch.Tensor:
    return torch.nn.functional.one_hot(torch.tensor(predicted), count).float()


def test_metrics_equal_those_computed_by_hand() -> None:
    # true      ant ant ant bee bee      no cat
    # predicted ant ant bee bee ant
    result = measure(one_hot([0, 0, 1, 1, 0]), [0, 0, 0, 1, 1], CLASSES)
    assert result == {
        "accuracy": pytest.approx(3 / 5),
        "balanced_accuracy": pytest.approx((2 / 3 + 1 / 2) / 2),
        "images": 5,
        "calibration": {"error": pytest.approx(2 / 5), "bins": [{"images": 5, "probability": 1.0, "accuracy": 0.6}]},
        "per_class": {
            "ant": {"images": 3, **dict.fromkeys(("precision", "recall", "f1"), pytest.approx(2 / 3))},
            "bee": {"images": 2, **dict.fromkeys(("precision", "recall", "f1"), pytest.approx(1 / 2))},
            "cat": {"images": 0, "precision": None, "recall": None, "f1": None},
        },
        "confusion": [[2, 1, 0], [1, 1, 0], [0, 0, 0]],
    }


def test_rows_of_the_confusion_matrix_are_true_classes() -> None:
    result = measure(one_hot([2, 2]), [0, 0], CLASSES)
    assert result["confusion"] == [[0, 0, 2], [0, 0, 0], [0, 0, 0]]
    assert result["per_class"]["ant"] == {"images": 2, "precision": None, "recall": 0.0, "f1": None}
    assert result["per_class"]["cat"] == {"images": 0, "precision": 0.0, "recall": None, "f1": None}


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), min_size=1, max_size=40))
@settings(max_examples=50, deadline=None)
def test_the_confusion_matrix_is_consistent_with_the_other_metrics(pairs: list[tuple[int, int]]) -> None:
    labels, predicted = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    result = measure(one_hot(predicted), labels, CLASSES)
    confusion = result["confusion"]
    assert all(confusion[t][p] == pairs.count((t, p)) for t in range(3) for p in range(3))
    assert result["accuracy"] == pytest.approx(sum(confusion[i][i] for i in range(3)) / len(pairs))
    assert [result["per_class"][name]["images"] for name in CLASSES] == [labels.count(i) for i in range(3)]


@given(st.lists(st.tuples(st.integers(0, 149), st.integers(0, 149)), min_size=1, max_size=40))
@settings(max_examples=50, deadline=None)
def test_the_confusion_matrix_of_many_classes_lists_the_pairs_that_occur(pairs: list[tuple[int, int]]) -> None:
    labels, predicted = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    confusion = measure(one_hot(predicted, 150), labels, [str(index) for index in range(150)])["confusion"]
    found = list(zip(confusion["true"], confusion["predicted"], confusion["images"], strict=True))
    assert found == sorted((*pair, pairs.count(pair)) for pair in {*pairs})


@pytest.mark.parametrize(("count", "kind"), [(MAX_MATRIX, list), (MAX_MATRIX + 1, dict)])
def test_both_forms_of_the_confusion_matrix_are_valid_in_run_json(count: int, kind: type) -> None:
    result = measure(one_hot([0, 1], count), [0, 0], [str(index) for index in range(count)])
    assert isinstance(result["confusion"], kind)
    assert check(result, Metrics)


def test_the_metrics_of_thousands_of_classes_are_small() -> None:
    labels = list(range(4_000))
    result = measure(torch.eye(4_000), labels, [f"class {label}" for label in labels])
    assert result["accuracy"] == 1.0
    assert len(json.dumps(result, indent=2)) < 2**20
