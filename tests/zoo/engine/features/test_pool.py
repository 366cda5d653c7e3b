"""Features with positions are averaged over the positions; others are not changed."""

from __future__ import annotations

import torch

from zoo.engine.batches import FeatureRows
from zoo.engine.features import pool
from zoo.engine.features.pool import pool_features


def test_channels_are_averaged_over_positions() -> None:
    rows = torch.arange(24.0).reshape(2, 12)
    found = pool_features(FeatureRows(rows, torch.tensor([1, 0])), [torch.Size((3, 2, 2))])
    assert found.tolist() == [[13.5, 17.5, 21.5], [1.5, 5.5, 9.5]]


def test_features_without_positions_stay_as_they_are() -> None:
    rows = torch.arange(12.0).reshape(2, 6).bfloat16()
    shapes = [torch.Size((2,)), torch.Size((1, 2, 2))]
    assert pool_features(FeatureRows(rows, torch.arange(2)), shapes).tolist() == [[0, 1, 3.5], [6, 7, 9.5]]


def test_many_images_are_pooled_in_chunks() -> None:
    rows = torch.randn(2 * pool._CHUNK + 1, 3)
    assert torch.equal(pool_features(FeatureRows(rows, torch.arange(len(rows))), [torch.Size((3,))]), rows)
