from __future__ import annotations

import pytest
import torch
from torch.nn.functional import normalize

from zoo.engine.neighbors import NEIGHBOR, measure_neighbor_distances, scale


def test_the_distance_is_that_of_the_fifth_neighbor_of_features_of_length_1() -> None:
    generator = torch.Generator().manual_seed(0)
    features, reference = torch.randn(3, 4, generator=generator), torch.randn(20, 4, generator=generator)
    found = measure_neighbor_distances(features, scale(reference))
    for row, distance in zip(features, found.tolist(), strict=True):
        distances = sorted((normalize(row, dim=0) - normalize(other, dim=0)).norm().item() for other in reference)
        assert distance == pytest.approx(distances[NEIGHBOR - 1], abs=1e-5)


def test_with_fewer_reference_images_the_last_one_counts() -> None:
    features, reference = torch.tensor([[1.0, 0.0]]), torch.tensor([[2.0, 0.0], [0.0, 3.0]])
    assert measure_neighbor_distances(features, scale(reference)).item() == pytest.approx(2**0.5)


def test_features_of_zeros_have_a_distance() -> None:
    assert measure_neighbor_distances(torch.zeros(1, 2), scale(torch.ones(6, 2))).item() == pytest.approx(1)


@pytest.mark.parametrize("factor", [1e-3, 1e5, 1e30])
def test_the_distance_does_not_depend_on_the_length(factor: float) -> None:
    generator = torch.Generator().manual_seed(0)
    features, reference = torch.randn(3, 4, generator=generator), torch.randn(20, 4, generator=generator)
    expected = measure_neighbor_distances(features, scale(reference))
    found = measure_neighbor_distances(features * factor, scale(reference * factor))
    assert found.tolist() == pytest.approx(expected.tolist(), abs=1e-5)


def test_features_that_are_not_finite_have_no_distance() -> None:
    features = torch.tensor([[torch.inf, 1.0], [torch.nan, 1.0], [1.0, 1.0]])
    found = measure_neighbor_distances(features, scale(torch.ones(6, 2)))
    assert found.isfinite().tolist() == [False, False, True]


def test_many_images_are_measured_like_a_few() -> None:
    generator = torch.Generator().manual_seed(0)
    features, reference = torch.randn(1030, 2, generator=generator), scale(torch.randn(9, 2, generator=generator))
    found = measure_neighbor_distances(features, reference)
    assert found.shape == (1030,)
    assert found[-5:].tolist() == pytest.approx(measure_neighbor_distances(features[-5:], reference).tolist(), abs=1e-5)
