"""Labels are ranked by probes that have not seen an image, its copies, or its group."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from zoo.data.listing import ImageFile
from zoo.data.sample import Sample
from zoo.errors import DataError
from zoo.progress import Silent
from zoo.training import label_ranking
from zoo.training.label_ranking import LabelRanking, rank_labels


def make(count: int, groups: int | None = None) -> list[Sample]:
    """Return different images of two classes, possibly in groups that contain both classes."""
    samples = []
    for number in range(count):
        name, group = f"{number}.png", str(number // 2 % groups) if groups else None
        file = ImageFile(Path("photos"), name, "train", "ab"[number % 2], name, group=group)
        samples.append(Sample(file, number % 2, number.to_bytes(32)))
    return samples


def rank(samples: list[Sample], clusters: dict[bytes, bytes] | None = None) -> LabelRanking:
    features = torch.rand(len(samples), 4, generator=torch.Generator().manual_seed(0))
    return rank_labels(samples, features, clusters=clusters or {}, seed=0, progress=Silent())


def test_near_copies_are_in_one_fold(monkeypatch: pytest.MonkeyPatch) -> None:
    samples = make(20)
    clusters = {sample.digest: samples[number // 4 * 4].digest for number, sample in enumerate(samples[:16])}
    seen: list[Tensor] = []

    def note(_features: Tensor, labels: Tensor, folds: Tensor, _advance: object) -> Tensor:
        seen.append(folds)
        return torch.full((len(labels), 2), 0.5)

    monkeypatch.setattr(label_ranking, "cross_validate", note)
    rank(samples, clusters)
    assert [len(set(seen[0][start : start + 4].tolist())) for start in (0, 4, 8, 12)] == [1, 1, 1, 1]


@pytest.mark.parametrize("groups", [2, 3])
def test_fewer_groups_than_usual_folds_give_fewer_folds(groups: int) -> None:
    assert rank(make(24, groups)).folds == groups


def test_near_copies_do_not_count_as_different_images() -> None:
    samples = make(24)
    clusters = {sample.digest: samples[0].digest for sample in samples[:18:2]}  # All but four images of class a.
    assert rank(samples, clusters).folds == 4


def test_the_error_for_a_single_group_does_not_ask_for_fewer_folds() -> None:
    with pytest.raises(DataError, match=r"but there is 1\. A group is never divided; provide more groups\.$"):
        rank(make(24, 1))
