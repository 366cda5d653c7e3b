from __future__ import annotations

import pytest
import torch
from torch.nn.functional import normalize

from zoo.engine.neighbors import RANK, measure_neighbor_distances


def test_the_distance_is_that_of_the_fifth_neighbor_of_features_of_length_1() -> None:
    generator = torch.Generator().manual_seed(0)
    features, reference = torch.randn(3, 4, generator=generator), torch.randn(20, 4, generator=generator)
    found = measure_neighbor_distances(features, reference)
    for row, distance in zip(features, found.tolist(), strict=True):
        distances = sorted((normalize(row, dim=0) - normalize(other, dim=0)).norm().item() for other in reference)
        assert distance == pytest.approx(distances[RANK - 1], abs=1e-5)


def test_with_fewer_reference_images_the_last_one_counts() -> None:
    features, reference = torch.tensor([[1.0, 0.0]]), torch.tensor([[2.0, 0.0], [0.0, 3.0]])
    assert measure_neighbor_distances(features, reference).item() == pytest.approx(2**0.5)


def test_features_of_zeros_have_a_distance() -> None:
    assert measure_neighbor_distances(torch.zeros(1, 2), torch.ones(6, 2)).item() == pytest.approx(1)
