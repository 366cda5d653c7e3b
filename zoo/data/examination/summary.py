"""The findings of a run in run.json, and the warnings that follow from them. This module never imports torch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any

from zoo.data.examination import kinds

if TYPE_CHECKING:
    from zoo.data.examination.findings import Finding

#: Maximum number of findings of one kind that run.json lists for each split.
MAX_LISTED = 100
_MAX_NAMES = 5
#: Kinds that make the accuracy of a split unreliable, and what to say about one or several images or groups.
_UNSAFE = {
    kinds.LEAK.code: ("image also appears in {seen}", "images also appear in {seen}", "accuracy is too optimistic"),
    kinds.NEAR_LEAK.code: (
        "image looks like one in {seen}", "images look like some in {seen}", "accuracy may be too optimistic",
    ),
    kinds.SHARED_GROUP.code: (
        "group also has images in {seen}", "groups also have images in {seen}", "accuracy is too optimistic",
    ),
    kinds.CONFLICT.code: (
        "image has a copy in a different class", "images have copies in different classes", "labels are unreliable",
    ),
    kinds.NEAR_CONFLICT.code: (
        "image looks like one of a different class", "images look like some of different classes",
        "labels may be unreliable",
    ),
}  # fmt: skip
#: Splits that training or the choice of the best epoch used before a split is evaluated.
_SEEN = {"train": "", "val": "train", "test": "train or val"}


def summarize_findings(findings: Iterable[Finding]) -> list[dict[str, Any]]:
    """Return findings as values that JSON can represent, grouped by kind and split.

    Args:
        findings: Findings from `zoo.data.examination.findings.list_findings`, in that order.
    """
    return [
        {"kind": kind, "split": split, "count": len(found), "listed": [_describe(item) for item in found[:MAX_LISTED]]}
        for (kind, split), group in groupby(findings, lambda finding: (finding.kind.code, finding.split))
        for found in [list(group)]
        if kind != kinds.SKIPPED.code  # run.json lists these files as left_out
    ]


def list_warnings(summaries: Iterable[Mapping[str, Any]], split: str) -> list[str]:
    """Return why the accuracy on a split may be wrong, one sentence without a period for each reason.

    Args:
        summaries: Summaries from `summarize_findings`.
        split: ``train``, ``val`` or ``test``.
    """
    warnings = []
    for summary in summaries:
        if summary["split"] != split:
            continue
        if summary["kind"] in _UNSAFE:
            one, several, consequence = _UNSAFE[summary["kind"]]
            clause = (one if summary["count"] == 1 else several).format(seen=_SEEN[split])
            warnings.append(f"{summary['count']:,} {split} {clause}, so {split} {consequence}")
        elif summary["kind"] == kinds.MISSING_CLASS.code:
            warnings.append(f"no {split} images of {_show_classes(summary)}")
    return warnings


def list_pooled_warnings(runs: Iterable[Iterable[Mapping[str, Any]]]) -> list[str]:
    """Return why the accuracy over the val images of several folds together may be wrong, as `list_warnings` does.

    A class that is missing in one fold is in the others, so it does not count.

    Args:
        runs: Summaries of each fold.
    """
    counts = Counter[str]()
    for summaries in runs:
        for summary in summaries:
            if summary["split"] == "val" and summary["kind"] in _UNSAFE:
                counts[summary["kind"]] += summary["count"]
    pooled = [{"kind": kind, "split": "val", "count": counts[kind]} for kind in _UNSAFE if counts[kind]]
    return list_warnings(pooled, "val")


def _show_classes(summary: Mapping[str, Any]) -> str:
    names: Sequence[str] = [item["class_name"] for item in summary["listed"]]
    more = f" and {summary['count'] - _MAX_NAMES} more" if summary["count"] > _MAX_NAMES else ""
    return f"{', '.join(map(repr, names[:_MAX_NAMES]))}{more}"


def _describe(finding: Finding) -> dict[str, Any]:
    described = {"path": finding.path, "class_name": finding.class_name, "detail": finding.detail}
    return {name: value for name, value in described.items() if value}
