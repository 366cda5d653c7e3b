"""Groups of images in more than one split, which the split of the data source itself may contain."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from zoo.data.listing import SPLITS
from zoo.data.sample import Sample
from zoo.progress import Progress


def report_shared_groups(images: Iterable[Sample], progress: Progress) -> None:
    """Warn about groups in both train and val or test, because they make the accuracy too optimistic."""
    groups: defaultdict[str, set[str]] = defaultdict(set)
    for image in images:
        if image.file.group is not None:
            groups[image.file.split].add(image.file.group)
    for split in SPLITS[1:]:
        if shared := len(groups["train"] & groups[split]):
            counted = f"{shared} {split} group also has" if shared == 1 else f"{shared} {split} groups also have"
            progress.say(f"warning: {counted} images in train, so {split} accuracy is too optimistic")
