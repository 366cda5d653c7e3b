"""Probes predict labels of images that they have not seen."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from zoo.engine.linear_probe import PENALTY, _fit, _standardize, cross_validate

FOLDS = torch.arange(60) % 5


def make_features(classes: int = 3, width: int = 8) -> tuple[Tensor, Tensor]:
    """Return the features of clusters that hardly overlap, and their labels."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(60) // 5 % classes
    return 3 * torch.eye(classes, width)[labels] + torch.randn(60, width, generator=generator), labels


def test_probes_predict_most_labels() -> None:
    features, labels = make_features()
    probabilities = cross_validate(features, labels, FOLDS)
    assert probabilities.shape == (60, 3)
    assert torch.allclose(probabilities.sum(1), torch.ones(60))
    assert (probabilities.argmax(1) == labels).float().mean() > 0.85


def test_an_image_does_not_teach_the_probe_its_own_label() -> None:
    features, labels = make_features()
    given = labels.clone()
    given[7] = (labels[7] + 1) % 3
    features[7] = 3 * torch.eye(3, 8)[labels[7]]  # a typical image of its class
    assert cross_validate(features, given, FOLDS)[7].argmax() == labels[7]


def test_the_result_is_the_same_every_time() -> None:
    features, labels = make_features()
    assert torch.equal(cross_validate(features, labels, FOLDS), cross_validate(features, labels, FOLDS))


def test_the_scale_of_the_features_does_not_matter() -> None:
    features, labels = make_features()
    scaled = cross_validate(features * 1000 + 5, labels, FOLDS)
    assert torch.allclose(scaled, cross_validate(features, labels, FOLDS), atol=0.01)


def test_constant_features_are_ignored() -> None:
    features, labels = make_features()
    assert _standardize(torch.cat([features, torch.full((60, 1), 7.0)], 1))[:, -1].eq(0).all()
    assert cross_validate(torch.zeros(60, 4), labels, FOLDS).isfinite().all()


def test_probabilities_are_calibrated() -> None:
    features, labels = make_features()
    given = labels.clone()
    given[::6] = (labels[::6] + 1) % 3
    probabilities = cross_validate(features, given, FOLDS)
    accuracy = (probabilities.argmax(1) == given).float().mean().item()
    assert probabilities.max(1).values.mean().item() == pytest.approx(accuracy, abs=0.06)


def test_a_probe_is_the_logistic_regression_of_scikit_learn() -> None:
    linear_model = pytest.importorskip("sklearn.linear_model")
    features, labels = make_features()
    scaled, is_used = _standardize(features), FOLDS != 0
    weights, biases = _fit(scaled, labels, is_used, 3)
    penalty = 1 / (PENALTY * int(is_used.sum()))  # scikit-learn adds up the losses of the images
    expected = linear_model.LogisticRegression(C=penalty, tol=1e-8, max_iter=1000).fit(
        scaled[is_used].numpy(), labels[is_used].numpy()
    )
    probabilities = torch.softmax(scaled @ weights.T + biases, 1)
    assert torch.allclose(probabilities, torch.tensor(expected.predict_proba(scaled.numpy())).float(), atol=2e-3)
