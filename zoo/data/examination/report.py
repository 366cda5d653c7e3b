"""Report the findings that a user should know before training."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from zoo.data.examination import kinds
from zoo.data.examination.findings import Finding
from zoo.data.examination.summary import list_warnings, summarize_findings
from zoo.data.listing import SPLITS
from zoo.progress import Progress

_USELESS = {kinds.BLACK: "nearly black", kinds.WHITE: "nearly white", kinds.FLAT: "of a single color"}


def report_findings(findings: Sequence[Finding], progress: Progress) -> None:
    """Report the findings that make an accuracy wrong or an image useless, one line for each kind and split."""
    summaries = summarize_findings(findings)
    for split in SPLITS:
        for warning in list_warnings(summaries, split):
            progress.say(f"warning: {warning}")
    counts = Counter(finding.kind for finding in findings)
    for kind, meaning in _USELESS.items():
        if counts[kind]:
            progress.say(f"warning: {_count_images(counts[kind])} {meaning}")
    if rare := counts[kinds.IMBALANCE]:
        has = "1 class has" if rare == 1 else f"{rare:,} classes have"
        progress.say(
            f"note: {has} at most a tenth of the train images of the largest class; consider `balance` loss or sampling"
        )
    if animated := counts[kinds.ANIMATED]:
        what = "an animation" if animated == 1 else "animations"
        progress.say(f"note: {_count_images(animated)} {what}; using the first frame")


def _count_images(number: int) -> str:
    return "1 image is" if number == 1 else f"{number:,} images are"
