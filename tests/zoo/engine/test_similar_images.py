"""Images with nearly the same features are found in any kind of data."""

from __future__ import annotations

import pytest
import torch

from zoo.engine import similar_images
from zoo.engine.similar_images import list_similar_pairs


def make_features(count: int = 100, width: int = 64) -> torch.Tensor:
    return torch.randn(count, width, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("offset", [0.0, 100.0])
def test_a_slightly_different_image_is_found(offset: float) -> None:
    features = make_features() + offset
    features[70] = features[3] + 0.3 * make_features(1)[0]
    assert list_similar_pairs(features) == [(3, 70)]


def test_the_size_of_the_chunks_does_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    features = make_features()
    features[70] = features[3]
    features[71] = features[50]
    monkeypatch.setattr(similar_images, "_CHUNK", 7)
    assert list_similar_pairs(features) == [(3, 70), (50, 71)]


@pytest.mark.parametrize("width", [4, 64])
def test_unrelated_images_are_not_similar(width: int) -> None:
    clusters = torch.randn(2, width, generator=torch.Generator().manual_seed(1))
    features = 20 * clusters.repeat_interleave(50, 0) + make_features(width=64)[:, :width]
    assert list_similar_pairs(features) == []


def test_images_with_the_same_features_are_not_called_similar() -> None:
    assert list_similar_pairs(torch.ones(30, 8)) == []


@pytest.mark.parametrize("count", [0, 2, 10])
def test_a_few_images_are_not_compared(count: int) -> None:
    assert list_similar_pairs(torch.zeros(count, 8)) == []


def test_too_many_images_are_not_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    features = make_features()
    features[70] = features[3]
    monkeypatch.setattr(similar_images, "MAX_COMPARED", 99)
    assert list_similar_pairs(features) == []
