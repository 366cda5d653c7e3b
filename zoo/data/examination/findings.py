"""What is unusual or wrong about the images of a data set."""

from __future__ import annotations

import posixpath
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from zoo.data.examination import kinds
from zoo.data.examination.copies import list_copies
from zoo.data.examination.kinds import KINDS, Kind
from zoo.data.examination.traits import Traits
from zoo.data.listing import SPLITS, LeftOut
from zoo.data.marks import Mark
from zoo.data.sample import Sample

#: Number of images of the largest class for each image of a class that is called imbalanced.
_IMBALANCE = 10
#: Limits of brightness, from 0 to 255, and of the sides and the area in pixels.
_BLACK, _WHITE, _FLAT = 16, 239, 8
_TINY, _HUGE = 32, 50_000_000
_OF_MARK = {
    Mark.ANIMATED: kinds.ANIMATED, Mark.CMYK: kinds.CMYK, Mark.PALETTE: kinds.PALETTE, Mark.ALPHA: kinds.ALPHA,
    Mark.DEEP: kinds.DEEP, Mark.ROTATED: kinds.ROTATED,
}  # fmt: skip
_RANKS = {kind.code: rank for rank, kind in enumerate(KINDS)}
#: Suffixes of each format. Formats that are not listed may have any suffix.
_SUFFIXES = {
    "NPY": (".npy",),
    "JPEG": (".jpg", ".jpeg", ".jpe", ".jfif"),
    "MPO": (".jpg", ".jpeg", ".mpo"),
    "PNG": (".png",),
    "WEBP": (".webp",),
    "BMP": (".bmp",),
    "TIFF": (".tif", ".tiff"),
    "GIF": (".gif",),
    "AVIF": (".avif",),
    "HEIF": (".heic", ".heif"),
}


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is worth knowing about an image or a class."""

    kind: Kind
    split: str | None
    class_name: str | None
    #: Path of the image; None if the finding is about a class or a group.
    path: str | None
    #: More about it: the other image, the group, a number, or a reason.
    detail: str = ""


def list_findings(
    samples: Sequence[Sample],
    left_out: Iterable[LeftOut],
    classes: Sequence[str],
    traits: Mapping[bytes, Traits],
    similar: Iterable[tuple[bytes, bytes]] = (),
) -> list[Finding]:
    """List what is unusual about images, the most harmful kinds first, and then by split and path.

    Args:
        samples: Images in their final splits.
        left_out: Files that are not used.
        classes: Names of all classes.
        traits: Traits of the images that were examined.
        similar: Digests of pairs of images that look the same although their hashes differ.
    """
    found = [Finding(kinds.SKIPPED, None, None, str(item.path), item.reason) for item in left_out]
    found += _list_gaps(samples, classes)
    found += _list_shared_groups(samples)
    examined = [sample for sample in samples if sample.is_examined]
    found += (
        Finding(copy.kind, copy.sample.file.split, copy.sample.file.class_name, str(copy.sample.path), copy.other)
        for copy in list_copies(examined, traits, similar)
    )
    for sample in examined:
        for kind, detail in _list_oddities(sample, traits[sample.digest]):
            found.append(Finding(kind, sample.file.split, sample.file.class_name, str(sample.path), detail))
    return sorted(found, key=_order)


def sort_by_kind(findings: Iterable[Finding]) -> list[Finding]:
    """Sort findings by kind, the most harmful first. Findings of one kind stay in their order."""
    return sorted(findings, key=lambda finding: _RANKS[finding.kind.code])


def count_findings(findings: Iterable[Finding]) -> dict[Kind, dict[str, int]]:
    """Return the number of findings by kind and split, the most harmful first.

    Findings about files without a split are under an empty string.
    """
    counts = Counter((finding.kind, finding.split or "") for finding in findings)
    table: dict[Kind, dict[str, int]] = {}
    for kind in KINDS:
        for split in ("", *SPLITS):
            if count := counts[kind, split]:
                table.setdefault(kind, {})[split] = count
    return table


def _order(finding: Finding) -> tuple[int, int, str, str]:
    split = SPLITS.index(finding.split) if finding.split else -1
    return _RANKS[finding.kind.code], split, finding.path or finding.class_name or "", finding.detail


def _list_gaps(samples: Iterable[Sample], classes: Sequence[str]) -> Iterator[Finding]:
    """List classes that a split lacks, and classes that are rare in train."""
    counts: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for sample in samples:
        counts[sample.file.split][sample.file.class_name] += 1
    for split in SPLITS[1:]:
        for name in classes:
            if counts[split] and not counts[split][name]:
                yield Finding(kinds.MISSING_CLASS, split, name, None)
    most = max(counts["train"].values(), default=0)
    for name, count in counts["train"].items():
        if count * _IMBALANCE <= most:
            yield Finding(kinds.IMBALANCE, "train", name, None, f"{count:,} images; the largest class has {most:,}")


def _list_shared_groups(samples: Iterable[Sample]) -> Iterator[Finding]:
    """List groups that the data source itself divides between splits."""
    groups: dict[str, set[str]] = {split: set() for split in SPLITS}
    for sample in samples:
        if sample.file.group is not None:
            groups[sample.file.split].add(sample.file.group)
    for split, seen in (("val", groups["train"]), ("test", groups["train"] | groups["val"])):
        for group in groups[split] & seen:
            yield Finding(kinds.SHARED_GROUP, split, None, None, group)


def _list_oddities(sample: Sample, traits: Traits) -> Iterator[tuple[Kind, str]]:
    for mark, kind in _OF_MARK.items():
        if mark in traits.marks:
            yield kind, f"values up to {traits.peak:,}" if kind is kinds.DEEP and traits.peak else ""
    suffixes, suffix = _SUFFIXES.get(traits.format), posixpath.splitext(sample.file.name)[1].lower()
    if suffixes and suffix and suffix not in suffixes:
        yield kinds.WRONG_SUFFIX, f"the format is {traits.format}"
    size = f"{traits.width} x {traits.height} pixels"
    if min(traits.width, traits.height) < _TINY:
        yield kinds.TINY, size
    if traits.width * traits.height > _HUGE:
        yield kinds.HUGE, size
    if not traits.peak:  # Otherwise the value that is white is not known.
        yield from _list_brightness(traits)


def _list_brightness(traits: Traits) -> Iterator[tuple[Kind, str]]:
    brightness = f"brightness {traits.darkest} to {traits.brightest} of 255"
    if traits.brightest < _BLACK:
        yield kinds.BLACK, brightness
    elif traits.darkest > _WHITE:
        yield kinds.WHITE, brightness
    elif traits.brightest - traits.darkest < _FLAT:
        yield kinds.FLAT, brightness
