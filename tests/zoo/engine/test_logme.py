from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.distributions import MultivariateNormal

from zoo.engine.logme import measure_logme

COUNT = 40


def make(width: int, distance: float = 1.0) -> tuple[Tensor, Tensor]:
    """Make noise with a distance between two classes."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(COUNT) % 2
    return torch.randn(COUNT, width, generator=generator) + distance * labels[:, None], labels


def search_evidence(features: Tensor, target: Tensor) -> float:
    """Return the largest log-density of the target over a grid of both precisions."""
    gram = features.double() @ features.double().T
    best = -math.inf
    for alpha in torch.logspace(-3, 5, 81, dtype=torch.float64):
        for beta in torch.logspace(-2, 4, 61, dtype=torch.float64):
            covariance = torch.eye(COUNT) / beta + gram / alpha
            density = MultivariateNormal(torch.zeros(COUNT, dtype=torch.float64), covariance).log_prob(target.double())
            best = max(best, density.item())
    return best


@pytest.mark.parametrize("width", [5, 60], ids=["narrow", "wide"])
def test_it_is_the_largest_evidence_of_bayesian_linear_regressions(width: int) -> None:
    features, labels = make(width)
    expected = sum(search_evidence(features, labels == number) for number in (0, 1)) / (2 * COUNT)
    assert measure_logme(features, labels) == pytest.approx(expected, abs=5e-3)


def test_features_that_separate_the_classes_are_better() -> None:
    assert measure_logme(*make(5, distance=4.0)) > measure_logme(*make(5, distance=0.0))


@pytest.mark.parametrize("features", [torch.zeros(COUNT, 3), torch.ones(COUNT, 3)], ids=["zero", "constant"])
def test_features_without_information_have_a_finite_value(features: Tensor) -> None:
    assert math.isfinite(measure_logme(features, torch.arange(COUNT) % 2))


def test_features_that_equal_the_labels_have_a_finite_value() -> None:
    labels = torch.arange(COUNT) % 2
    assert math.isfinite(measure_logme(torch.nn.functional.one_hot(labels).float(), labels))
