"""The findings of a run in run.json, and the warnings that follow from them. This module never imports torch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any

from zoo.data.examination import kinds

if TYPE_CHECKING:
    from zoo.data.examination.findings import Finding

#: Maximum number of findings of one kind that run.json lists for each split.
MAX_LISTED = 100
_MAX_NAMES = 5
#: Kinds that make the accuracy of a split wrong, and what to say about one or several images.
_UNSAFE = {
    kinds.LEAK.code: ("also appears in train", "also appear in train", "accuracy is too optimistic"),
    kinds.NEAR_LEAK.code: ("looks like a train image", "look like train images", "accuracy may be too optimistic"),
    kinds.CONFLICT.code: (
        "has a copy in a different class",
        "have copies in different classes",
        "labels are unreliable",
    ),
}


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
            count = summary["count"]
            found = f"1 {split} image {one}" if count == 1 else f"{count:,} {split} images {several}"
            warnings.append(f"{found}, so {split} {consequence}")
        elif summary["kind"] == kinds.MISSING_CLASS.code:
            warnings.append(f"no {split} images of {_show_classes(summary)}")
    return warnings


def _show_classes(summary: Mapping[str, Any]) -> str:
    names: Sequence[str] = [item["class_name"] for item in summary["listed"]]
    more = f" and {summary['count'] - _MAX_NAMES} more" if summary["count"] > _MAX_NAMES else ""
    return f"{', '.join(map(repr, names[:_MAX_NAMES]))}{more}"


def _describe(finding: Finding) -> dict[str, Any]:
    described = {"path": finding.path, "class_name": finding.class_name, "detail": finding.detail}
    return {name: value for name, value in described.items() if value}
