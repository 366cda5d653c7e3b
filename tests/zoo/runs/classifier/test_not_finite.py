"""Models that return NaN. Their most probable class would mean nothing."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
from torch import nn

from zoo.errors import RunError
from zoo.registry.registry import Registry
from zoo.runs.classifier import Classifier


def damage(model: nn.Module, value: float) -> None:
    """Make all logits ``value`` or NaN."""
    with torch.no_grad():
        for parameter in list(model.parameters())[-1:]:
            parameter.fill_(value)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_predictions_of_a_model_that_returns_nan_are_refused(
    classifier: Classifier, images: list[Path], value: float
) -> None:
    damage(classifier.model, value)
    with pytest.raises(RunError, match=f"returns NaN or infinite values for {re.escape(str(images[0]))}"):
        list(classifier.predict(images))


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_the_evaluation_of_a_model_that_returns_nan_is_refused(
    classifier: Classifier, photos: Path, registry: Registry, value: float
) -> None:
    damage(classifier.model, value)
    with pytest.raises(RunError, match=r"returns NaN or infinite values for .*\.png"):
        classifier.evaluate(photos, "val", registry=registry)
