"""Confident learning finds labels that contradict confident predictions."""

from __future__ import annotations

import warnings
from typing import Any

import pytest
import torch
from torch import Tensor

from zoo.engine.confident_learning import find_label_errors, measure_doubt, suggest_labels


def draw(seed: int, count: int = 300, classes: int = 4) -> tuple[Tensor, Tensor]:
    """Return random probabilities, and labels that often agree with them."""
    generator = torch.Generator().manual_seed(seed)
    probabilities = torch.softmax(3 * torch.randn(count, classes, generator=generator), 1)
    labels = torch.multinomial(probabilities, 1, generator=generator)[:, 0]
    labels[:classes] = torch.arange(classes)
    return probabilities, labels


@pytest.fixture
def cleanlab() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pytest.importorskip("cleanlab")
        import cleanlab.filter
        import cleanlab.rank
    return cleanlab


def test_a_label_is_an_error_if_the_prediction_reaches_the_threshold_of_another_class() -> None:
    #: The thresholds are 0.7 and 0.8.
    probabilities = torch.tensor([[0.9, 0.1], [0.9, 0.1], [0.3, 0.7], [0.1, 0.9], [0.3, 0.7]])
    labels = torch.tensor([0, 0, 0, 1, 1])
    assert find_label_errors(probabilities, labels).tolist() == [False] * 5
    confident = probabilities.clone()
    confident[2] = torch.tensor([0.05, 0.95])
    assert find_label_errors(confident, labels).tolist() == [False, False, True, False, False]


def test_the_most_probable_label_is_no_error_even_below_its_threshold() -> None:
    probabilities = torch.tensor([[0.99, 0.01], [0.55, 0.45], [0.9, 0.1], [0.9, 0.1], [0.6, 0.4]])
    labels = torch.tensor([0, 0, 1, 1, 1])
    assert not find_label_errors(probabilities, labels)[1]


def test_the_suggested_label_is_the_most_probable_other_one() -> None:
    probabilities = torch.tensor([[0.5, 0.3, 0.2], [0.5, 0.3, 0.2], [0.2, 0.3, 0.5]])
    assert suggest_labels(probabilities, torch.tensor([0, 1, 1])).tolist() == [1, 0, 2]


def test_the_doubt_is_the_difference_of_two_probabilities() -> None:
    probabilities = torch.tensor([[0.5, 0.3, 0.2], [0.2, 0.7, 0.1]])
    assert measure_doubt(probabilities, torch.tensor([0, 0])).tolist() == pytest.approx([-0.2, 0.5])


@pytest.mark.parametrize("seed", range(3))
def test_cleanlab_ranks_labels_in_the_same_order(cleanlab: Any, seed: int) -> None:
    probabilities, labels = draw(seed)
    margins = cleanlab.rank.get_normalized_margin_for_each_label(labels.numpy(), probabilities.numpy())
    assert torch.allclose(torch.tensor(margins), (1 - measure_doubt(probabilities, labels)) / 2, atol=1e-6)


@pytest.mark.parametrize("seed", range(3))
def test_cleanlab_finds_the_same_errors(cleanlab: Any, seed: int) -> None:
    probabilities, labels = draw(seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = cleanlab.filter.find_label_issues(
            labels.numpy(), probabilities.numpy(), filter_by="confident_learning", n_jobs=1
        )
    assert find_label_errors(probabilities, labels).tolist() == expected.tolist()
