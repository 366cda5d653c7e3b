from __future__ import annotations

import pytest
import torch

from zoo.engine.nearest_neighbors import NEIGHBORS, vote

LABELS = torch.arange(60) % 2
FOLDS = torch.arange(60) // 12


def make_features(distance: float) -> torch.Tensor:
    """Make noise with a distance between the classes."""
    noise = torch.randn(60, 8, generator=torch.Generator().manual_seed(0))
    return noise + distance * LABELS[:, None]


def test_classes_that_are_far_apart_are_told_apart() -> None:
    assert torch.equal(vote(make_features(20.0), LABELS, FOLDS), LABELS)


def test_noise_gets_about_half_of_the_labels_right() -> None:
    assert 0.25 < (vote(make_features(0.0), LABELS, FOLDS) == LABELS).float().mean() < 0.75


def test_images_of_the_same_fold_do_not_vote() -> None:
    pairs = make_features(0.0)
    pairs[12:] = -pairs[:1]  # The nearest images of an image in fold 0 are in fold 0, and have its label.
    pairs[:12] = pairs[:1]
    labels = torch.where(FOLDS == 0, 0, 1)
    assert (vote(pairs, labels, FOLDS)[:12] == 1).all()


def test_there_may_be_fewer_images_than_neighbors() -> None:
    few = NEIGHBORS // 2
    labels = torch.arange(few) % 2
    assert vote(make_features(0.0)[:few], labels, torch.arange(few) // 2).shape == (few,)


def test_the_result_does_not_depend_on_the_size_of_the_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    features = make_features(1.0)
    whole = vote(features, LABELS, FOLDS)
    from zoo.engine import nearest_neighbors

    monkeypatch.setattr(nearest_neighbors, "_CHUNK", 7)
    assert torch.equal(vote(features, LABELS, FOLDS), whole)
