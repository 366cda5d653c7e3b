"""Find, examine and split the images of a run."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import TYPE_CHECKING, Any

from zoo.data.bit_depth import choose_bits
from zoo.data.channels import RGB
from zoo.data.collector import pausing_collector
from zoo.data.examination.clusters import find_clusters
from zoo.data.examination.examine import examine_files
from zoo.data.examination.findings import Finding, list_findings
from zoo.data.examination.report import report_findings
from zoo.data.examination.traits import Traits
from zoo.data.folds import hold_out
from zoo.data.listing import SPLITS, ImageFile, LeftOut, Listing, check_trainable, show_names
from zoo.data.missing_files import explain_missing
from zoo.data.sample import Sample
from zoo.data.source import list_images, name_source
from zoo.data.sources.class_names import list_twins
from zoo.data.split import VAL_FRACTION
from zoo.data.split_off import split_off
from zoo.data.unexamined import find_files
from zoo.errors import DataError, OptionError
from zoo.files.limits import EXAMINED_IMAGES
from zoo.progress.order import sort_names

if TYPE_CHECKING:
    from zoo.data.pixel_cache import Views
    from zoo.progress import Progress
    from zoo.registry.data_options import DataOptions
    from zoo.registry.registry import Registry

#: Maximum number of unused files to report; ``Images.left_out`` contains all of them.
_MAX_FILES = 3
#: Maximum number of classes to report.
_MAX_CLASSES = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Images:
    """The examined images of each split, sorted by class and name."""

    #: Folder, archive or data set, as the caller passed it.
    origin: str
    #: Kind of the data source; see `zoo.data.listing.Listing`.
    kind: str = "other"
    #: Where the images were downloaded from; see `zoo.data.listing.Listing`.
    source: Mapping[str, str | None] | None = None
    #: Class names of the train split. The index of a class is its label in all splits.
    classes: tuple[str, ...]
    train: tuple[Sample, ...]
    val: tuple[Sample, ...]
    #: Test images; empty if there is no test split.
    test: tuple[Sample, ...]
    left_out: tuple[LeftOut, ...]
    #: What is unusual or wrong about the images, the most harmful first.
    findings: tuple[Finding, ...] = ()
    #: Whether all images were decoded; otherwise, they are examined during the first epoch.
    is_examined: bool = True
    #: SHA-256 in hex of the split, class, name, digest and loss weight of every sample. A weight of 1 does not count.
    #: It does not depend on where the files are.
    fingerprint: str
    #: Number of bits that the 16-bit images of train use; None if there are none.
    bits: int | None = None


def open_images(
    value: Any, options: DataOptions, *, registry: Registry, progress: Progress, keep: Views | None = None
) -> Images:
    """Find, examine and split the images of a data source.

    Args:
        value: A folder, a table, an archive, the name of a data set, or a Python object.
        options: How to find and split the images.
        registry: Where to look up the names of data sets.
        progress: Where to report progress.
        keep: Cache that receives the decoded images.

    Raises:
        DataError: If the images do not exist or cannot be used.
        DownloadError: If a named data set cannot be fetched.
        NameNotFound: If there is no data set of that name.
        OptionError: If an option does not apply to this data source.
    """
    origin = name_source(value)
    listing = list_images(value, options, registry=registry, progress=progress)
    listing = _leave_out_weightless(listing, ("train", "val") if options.fold else ("train",))
    fractions = _choose_fractions(listing, options)
    check_trainable(listing, origin)
    for note in (*listing.notes, *list_twins(listing.classes)):
        progress.say(f"note: {note}")
    labels = {name: label for label, name in enumerate(listing.classes)}
    good, bad, traits = _find_images(listing.files, labels, keep, progress)
    channels = keep.plain.channels if keep else RGB
    left_out = tuple(sorted((*listing.left_out, *bad), key=lambda item: str(item.path)))
    report_left_out(left_out, progress)
    # With `fold`, val is divided again. Without, there are images in val only if nothing is split off.
    pooled = (image for image in good if image.file.split != "test")
    clusters = find_clusters(pooled, traits) if fractions or options.fold else {}
    good = split_off(good, fractions, options.seed, clusters)
    if options.fold:
        good = hold_out(good, options.fold, options.seed, clusters)
        if unused := sum(image.file.split == "test" for image in good):
            progress.say(f"note: not using {_count(unused, 'test image')} for folds; evaluate the final model on them")
    _check_train(listing, good, bad)
    _check_splits(good, (*listing.splits, "val", *fractions), origin)
    findings = list_findings(good, left_out, listing.classes, traits)
    report_findings(findings, progress)
    images = Images(
        origin=origin,
        kind=listing.kind,
        source=listing.source,
        classes=listing.classes,
        train=_select_samples(good, "train"),
        val=_select_samples(good, "val"),
        test=() if options.fold else _select_samples(good, "test"),
        left_out=left_out,
        is_examined=all(image.is_examined for image in good),
        fingerprint="",
        findings=tuple(findings),
        bits=choose_bits(good, traits, progress, channels),
    )
    images = replace(images, fingerprint=_fingerprint(images))
    progress.say(_describe(images))
    return images


def _leave_out_weightless(listing: Listing, splits: Collection[str]) -> Listing:
    """Leave out the images of weight 0 in the splits to train on, so that a run is the same as without them."""
    weightless = [file for file in listing.files if file.split in splits and not file.loss_weight]
    if not weightless:
        return listing
    files = tuple(file for file in listing.files if file.split not in splits or file.loss_weight)
    filled = {file.class_name for file in files if file.split == "train"}
    if empty := sorted({file.class_name for file in weightless} - filled):
        raise DataError(
            f"all training images of {show_names(empty)} have the weight 0; give some of them a weight above 0, "
            "or remove them."
        )
    left_out = (LeftOut(file.path, "its weight is 0") for file in weightless)
    return replace(listing, files=files, left_out=(*listing.left_out, *left_out))


def _choose_fractions(listing: Listing, options: DataOptions) -> dict[str, float]:
    """Return the fraction of the training images that each of the other splits gets."""
    if options.fractions is None:
        return {} if "val" in listing.splits or options.fold else {"val": VAL_FRACTION}
    _, val, test = options.fractions
    fractions = {"val": val, "test": test} if test else {"val": val}
    if given := [split for split in fractions if split in listing.splits]:
        raise OptionError(f"`split` cannot divide this data, because it already has a {given[0]} split.")
    return fractions


def _find_images(
    files: Sequence[ImageFile], labels: Mapping[str, int], keep: Views | None, progress: Progress
) -> tuple[list[Sample], list[LeftOut], dict[bytes, Traits]]:
    """Examine the images, or only find them if there are many."""
    if len(files) <= EXAMINED_IMAGES.read():
        channels = keep.plain.channels if keep else RGB
        return examine_files(files, labels, keep=keep, progress=progress, channels=channels)
    progress.say(
        f"note: the data set has {len(files):,} images, so they are examined during the first epoch; to examine them "
        f"before it, set {EXAMINED_IMAGES.variable} to {len(files)} or more"
    )
    if keep:
        keep.forget()  # Only a few of the images would fit.
    return *find_files(files, labels, progress), {}


def _select_samples(images: Iterable[Sample], split: str) -> tuple[Sample, ...]:
    return tuple(image for image in images if image.file.split == split)


@pausing_collector()
def _fingerprint(images: Images) -> str:
    """Return the SHA-256 of the sorted lines of all images. Sorting one class at a time saves memory."""
    digest, separator = hashlib.sha256(), b""
    for split in sorted(SPLITS):
        for class_name, samples in groupby(getattr(images, split), lambda sample: sample.file.class_name):
            for line in sorted(f"{split}\0{class_name}\0{_identify(sample)}" for sample in samples):
                digest.update(separator + line.encode("utf-8", "surrogatepass"))
                separator = b"\0\0"
    return digest.hexdigest()


def _identify(sample: Sample) -> str:
    weight = sample.file.loss_weight
    shown = "" if weight == 1 else f"\0{weight!r}"
    return f"{sample.file.name}\0{sample.digest.hex()}{shown}"


def _check_train(listing: Listing, good: Iterable[Sample], bad: Sequence[LeftOut]) -> None:
    filled = {image.file.class_name for image in good if image.file.split == "train"}
    if empty := [name for name in listing.classes if name not in filled]:
        reasons, hint = _show_reasons(bad), explain_missing(listing.files)
        raise DataError(f"these classes have no readable training images: {show_names(empty)} ({reasons}){hint}.")


def _check_splits(images: Sequence[Sample], splits: Iterable[str], origin: str) -> None:
    filled = {image.file.split for image in images}
    for split in splits:
        if split not in filled and (groups := {image.file.group for image in images} - {None}):
            raise DataError(
                f"{origin!r} has no readable images for {split}: its images are in {_count(len(groups), 'group')}, and "
                "a group is never divided. Provide more groups, or state the split of each image."
            )
        if split not in filled:
            raise DataError(
                f"{origin!r} has no readable images for {split}; add a {split} folder. "
                "To let zoo split off val, provide at least two different images in at least one class."
            )


def report_left_out(left_out: Sequence[LeftOut], progress: Progress) -> None:
    """Report how many files are skipped, and why the first few of them are skipped."""
    if left_out:
        more = f"; and {len(left_out) - _MAX_FILES} more" if len(left_out) > _MAX_FILES else ""
        progress.say(f"skipped {_count(len(left_out), 'file')}: {_show_reasons(left_out)}{more}")


def _show_reasons(left_out: Sequence[LeftOut]) -> str:
    return "; ".join(f"{str(item.path)!r}: {item.reason}" for item in left_out[:_MAX_FILES])


def _describe(images: Images) -> str:
    counts = ((split, len(getattr(images, split))) for split in SPLITS)
    shown = ", ".join(f"{count} {split}" for split, count in counts if count)
    named = ", ".join(sort_names(images.classes)[:_MAX_CLASSES])
    more = ", ..." if len(images.classes) > _MAX_CLASSES else ""
    return f"{images.origin} -> {shown} images of {len(images.classes)} classes: {named}{more}"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
