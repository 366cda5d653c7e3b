"""Report the findings that a user should know before training."""

from __future__ import annotations

from collections.abc import Iterable

from zoo.data.examination import kinds
from zoo.data.examination.findings import Finding, count_findings
from zoo.data.listing import MAX_NAMES, SPLITS, show_names
from zoo.progress import Progress


def report_findings(findings: Iterable[Finding], progress: Progress) -> None:
    """Report the findings that make an accuracy wrong or an image useless, one line for each kind and split."""
    findings = list(findings)
    counts = count_findings(findings)
    for split in SPLITS[1:]:
        if leaks := counts.get(kinds.LEAK, {}).get(split):
            verb = "appears" if leaks == 1 else "appear"
            counted = _count(leaks, f"{split} image")
            progress.say(f"warning: {counted} also {verb} in train, so {split} accuracy is too optimistic")
        if near := counts.get(kinds.NEAR_LEAK, {}).get(split):
            verb = "looks" if near == 1 else "look"
            counted = _count(near, f"{split} image")
            progress.say(f"warning: {counted} {verb} like train images, so {split} accuracy may be too optimistic")
    if conflicts := len({finding.path for finding in findings if finding.kind is kinds.CONFLICT}):
        verb = "has a copy" if conflicts == 1 else "have copies"
        progress.say(f"warning: {_count(conflicts, 'image')} {verb} in a different class")
    for kind, meaning in ((kinds.BLACK, "nearly black"), (kinds.WHITE, "nearly white"), (kinds.FLAT, "of one color")):
        if count := sum(counts.get(kind, {}).values()):
            verb = "is" if count == 1 else "are"
            progress.say(f"warning: {_count(count, 'image')} {verb} {meaning}")
    _report_gaps(findings, progress)
    if animated := sum(counts.get(kinds.ANIMATED, {}).values()):
        verb = "is an animation" if animated == 1 else "are animations"
        progress.say(f"note: {_count(animated, 'image')} {verb}; using the first frame")


def _report_gaps(findings: Iterable[Finding], progress: Progress) -> None:
    """Warn about classes without images in a split, because its accuracy says nothing about them."""
    for split in SPLITS[1:]:
        missing = [f.class_name or "" for f in findings if f.kind is kinds.MISSING_CLASS and f.split == split]
        if missing:
            more = f" and {len(missing) - MAX_NAMES} more" if len(missing) > MAX_NAMES else ""
            progress.say(f"warning: no {split} images of {show_names(missing)}{more}")


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
