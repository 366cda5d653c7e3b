"""Each kind of warning about an accuracy or a label is one sentence for each split."""

from __future__ import annotations

import pytest

from zoo.data.examination import kinds
from zoo.data.examination.summary import list_warnings


@pytest.mark.parametrize(
    ("kind", "split", "count", "warning"),
    [
        (kinds.LEAK, "val", 1, "1 val image also appears in train, so val accuracy is too optimistic"),
        (kinds.LEAK, "test", 1200, "1,200 test images also appear in train or val, so test accuracy is too optimistic"),
        (kinds.NEAR_LEAK, "val", 2, "2 val images look like some in train, so val accuracy may be too optimistic"),
        (kinds.SHARED_GROUP, "val", 1, "1 val group also has images in train, so val accuracy is too optimistic"),
        (kinds.CONFLICT, "train", 2, "2 train images have copies in different classes, so train labels are unreliable"),
        (
            kinds.NEAR_CONFLICT,
            "train",
            1,
            "1 train image looks like one of a different class, so train labels may be unreliable",
        ),
    ],
)
def test_a_kind_is_one_sentence(kind: kinds.Kind, split: str, count: int, warning: str) -> None:
    summaries = [{"kind": kind.code, "split": split, "count": count, "listed": []}]
    assert list_warnings(summaries, split) == [warning]
    assert list_warnings(summaries, "other") == []
