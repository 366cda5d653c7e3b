"""Find, examine and split the images of a run."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import TYPE_CHECKING, Any

from zoo.data.bit_depth import choose_bits
from zoo.data.examine import Known, examine_files
from zoo.data.listing import MAX_NAMES, SPLITS, ImageFile, LeftOut, Listing, check_trainable, show_names
from zoo.data.sample import Sample
from zoo.data.shared_groups import report_shared_groups
from zoo.data.source import list_images, name_source
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
    #: Where the images were downloaded from; see `zoo.data.listing.Listing`.
    source: Mapping[str, str | None] | None = None
    #: Class names of the train split. The index of a class is its label in all splits.
    classes: tuple[str, ...]
    train: tuple[Sample, ...]
    val: tuple[Sample, ...]
    #: Test images; empty if there is no test split.
    test: tuple[Sample, ...]
    left_out: tuple[LeftOut, ...]
    #: Whether all images were decoded; otherwise, they are examined during the first epoch.
    is_examined: bool = True
    #: SHA-256 in hex of the split, class, name and digest of every sample. It does not depend on where the files are.
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
    fractions = _choose_fractions(listing, options)
    check_trainable(listing, origin)
    for note in (*listing.notes, *_list_twins(listing.classes)):
        progress.say(f"note: {note}")
    labels = {name: label for label, name in enumerate(listing.classes)}
    good, bad, traits = _find_images(listing.files, labels, keep, progress)
    left_out = tuple(sorted((*listing.left_out, *bad), key=lambda item: str(item.path)))
    report_left_out(left_out, progress)
    _check_train(listing.classes, good, bad)
    good = split_off(good, fractions, options.seed)
    _check_splits(good, (*listing.splits, "val", *fractions), origin)
    _report_copies((image for image in good if image.is_examined), progress)
    report_shared_groups(good, progress)
    _report_gaps(good, listing.classes, progress)
    report_animations(good, traits, progress)
    images = Images(
        origin=origin,
        source=listing.source,
        classes=listing.classes,
        train=_select_samples(good, "train"),
        val=_select_samples(good, "val"),
        test=_select_samples(good, "test"),
        left_out=left_out,
        is_examined=all(image.is_examined for image in good),
        fingerprint="",
        bits=choose_bits(good, traits, progress),
    )
    images = replace(images, fingerprint=_fingerprint(images))
    progress.say(_describe(images))
    return images


def _choose_fractions(listing: Listing, options: DataOptions) -> dict[str, float]:
    """Return the fraction of the training images that each other split gets."""
    if options.fractions is None:
        return {} if "val" in listing.splits else {"val": VAL_FRACTION}
    _, val, test = options.fractions
    fractions = {"val": val, "test": test} if test else {"val": val}
    if given := [split for split in fractions if split in listing.splits]:
        raise OptionError(f"`split` cannot divide this data, because it already has a {given[0]} split.")
    return fractions


def _find_images(
    files: Sequence[ImageFile], labels: Mapping[str, int], keep: Views | None, progress: Progress
) -> tuple[list[Sample], list[LeftOut], Known]:
    """Examine the images, or only find them if there are many."""
    if len(files) <= EXAMINED_IMAGES.read():
        return examine_files(files, labels, keep=keep, progress=progress)
    progress.say(
        f"note: the data set has {len(files):,} images, so they are examined during the first epoch; to examine them "
        f"before it, set {EXAMINED_IMAGES.variable} to {len(files)} or more"
    )
    if keep:
        keep.forget()  # Only a small part of the images would fit.
    return *find_files(files, labels, progress), {}


def _select_samples(images: Iterable[Sample], split: str) -> tuple[Sample, ...]:
    return tuple(image for image in images if image.file.split == split)


def _fingerprint(images: Images) -> str:
    """Return the SHA-256 of the sorted lines of all images. Sorting one class at a time saves memory."""
    digest, separator = hashlib.sha256(), b""
    for split in sorted(SPLITS):
        for class_name, samples in groupby(getattr(images, split), lambda sample: sample.file.class_name):
            for line in sorted(f"{split}\0{class_name}\0{s.file.name}\0{s.digest.hex()}" for s in samples):
                digest.update(separator + line.encode("utf-8", "surrogatepass"))
                separator = b"\0\0"
    return digest.hexdigest()


def _check_train(classes: Iterable[str], good: Iterable[Sample], bad: Sequence[LeftOut]) -> None:
    filled = {image.file.class_name for image in good if image.file.split == "train"}
    if empty := [name for name in classes if name not in filled]:
        reasons = _show_reasons(bad)
        raise DataError(f"these classes have no readable training images: {show_names(empty)} ({reasons}).")


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
    """Report how many files are not used, and why the first few of them are not used."""
    if left_out:
        more = f"; and {len(left_out) - _MAX_FILES} more" if len(left_out) > _MAX_FILES else ""
        progress.say(f"skipped {_count(len(left_out), 'file')}: {_show_reasons(left_out)}{more}")


def report_animations(images: Iterable[Sample], traits: Known, progress: Progress) -> None:
    """Report how many images are animations, of which only the first frame is used."""
    if animated := sum(image.digest in traits and traits[image.digest].is_animated for image in images):
        verb = "is an animation" if animated == 1 else "are animations"
        progress.say(f"note: {_count(animated, 'image')} {verb}; using the first frame")


def _show_reasons(left_out: Sequence[LeftOut]) -> str:
    return "; ".join(f"{str(item.path)!r}: {item.reason}" for item in left_out[:_MAX_FILES])


def _report_copies(images: Iterable[Sample], progress: Progress) -> None:
    """Warn about images that appear in more than one split or class, because they distort the accuracy."""
    bits = {split: 1 << index for index, split in enumerate(SPLITS)}
    splits: dict[bytes, int] = {}
    labels: dict[bytes, int | None] = {}
    for image in images:
        splits[image.digest] = splits.get(image.digest, 0) | bits[image.file.split]
        if labels.setdefault(image.digest, image.label) != image.label:
            labels[image.digest] = None
    for split in SPLITS[1:]:
        both = bits["train"] | bits[split]
        if shared := sum(found & both == both for found in splits.values()):
            verb = "appears" if shared == 1 else "appear"
            counted = _count(shared, f"{split} image")
            progress.say(f"warning: {counted} also {verb} in train, so {split} accuracy is too optimistic")
    if ambiguous := sum(label is None for label in labels.values()):
        progress.say(f"warning: found {_count(ambiguous, 'image')} in more than one class")


def _report_gaps(images: Iterable[Sample], classes: Iterable[str], progress: Progress) -> None:
    """Warn about classes without images in a split, because its accuracy says nothing about them."""
    filled: defaultdict[str, set[str]] = defaultdict(set)
    for image in images:
        filled[image.file.split].add(image.file.class_name)
    for split in SPLITS[1:]:
        missing = [name for name in classes if name not in filled[split]]
        if missing and filled[split]:
            more = f" and {len(missing) - MAX_NAMES} more" if len(missing) > MAX_NAMES else ""
            progress.say(f"warning: no {split} images of {show_names(missing)}{more}")


def _list_twins(classes: Iterable[str]) -> list[str]:
    """Return a note for each pair of classes whose names differ only in case."""
    seen: dict[str, str] = {}
    pairs = ((seen.setdefault(name.casefold(), name), name) for name in classes)
    return [f"the classes {one!r} and {other!r} differ only in case" for one, other in pairs if one != other]


def _describe(images: Images) -> str:
    counts = ((split, len(getattr(images, split))) for split in SPLITS)
    shown = ", ".join(f"{count} {split}" for split, count in counts if count)
    named = ", ".join(sort_names(images.classes)[:_MAX_CLASSES])
    more = ", ..." if len(images.classes) > _MAX_CLASSES else ""
    return f"{images.origin} -> {shown} images of {len(images.classes)} classes: {named}{more}"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
