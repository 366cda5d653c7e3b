"""The images of a run: found, examined and split."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from zoo.data.examine import Examined, examine_files
from zoo.data.folder import SPLITS, LeftOut, list_images
from zoo.data.source import get_folder
from zoo.data.split import split_off_val
from zoo.errors import DataError

if TYPE_CHECKING:
    from zoo.data.pixel_cache import Views
    from zoo.progress import Progress
    from zoo.registry.registry import Registry
from zoo.data.sample import Sample

__all__ = ["Images", "LeftOut", "Sample", "open_images"]

#: Files that are named on the screen; all of them are in ``Images.left_out``.
_SHOWN = 3
#: Classes that are named.
_NAMED = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Images:
    """Examined images by split, sorted by class and by name below the class folder."""

    #: What was asked for.
    origin: str
    #: Names of the classes, from train; the position is the label in every split.
    classes: tuple[str, ...]
    train: tuple[Sample, ...]
    val: tuple[Sample, ...]
    #: Empty where there is none.
    test: tuple[Sample, ...]
    left_out: tuple[LeftOut, ...]
    #: SHA-256 over split, class, name and content of every sample, in hex: the same data wherever it lies.
    fingerprint: str


def open_images(
    value: str | Path, *, registry: Registry, seed: int, progress: Progress, keep: Views | None = None
) -> Images:
    """Find, examine and split the images that ``value`` means: a folder, an archive, or the name of a data set.

    ``seed`` decides what is split off for validation where no val folder is given. ``keep`` is offered what is decoded.

    Raises:
        DataError: the images are not there, or cannot be used.
        DownloadError: a named data set could not be fetched.
        NameNotFound: there is no data set of that name.
    """
    listing = list_images(get_folder(value, registry=registry, progress=progress))
    good, bad = examine_files(listing.files, keep=keep, progress=progress)
    left_out = tuple(sorted((*listing.left_out, *bad), key=lambda item: str(item.path)))
    say_left_out(left_out, progress)
    _check_train(listing.classes, good, bad)
    if "val" not in listing.splits:
        good = _split_off_val(good, seed)
    _check_splits(good, (*listing.splits, "val"), value)
    _say_copies(good, progress)
    labels = {name: label for label, name in enumerate(listing.classes)}
    images = Images(
        origin=str(value),
        classes=listing.classes,
        train=_samples(good, "train", labels),
        val=_samples(good, "val", labels),
        test=_samples(good, "test", labels),
        left_out=left_out,
        fingerprint=_fingerprint(good),
    )
    progress.say(_describe(images))
    return images


def _split_off_val(images: Sequence[Examined], seed: int) -> list[Examined]:
    chosen = split_off_val(((i.file.class_name, i.digest) for i in images if i.file.split == "train"), seed=seed)
    return [
        replace(image, file=replace(image.file, split="val"))
        if image.file.split == "train" and image.digest in chosen
        else image
        for image in images
    ]


def _samples(images: Iterable[Examined], split: str, labels: dict[str, int]) -> tuple[Sample, ...]:
    return tuple(
        Sample(image.file.path, labels[image.file.class_name], image.digest)
        for image in images
        if image.file.split == split
    )


def _fingerprint(images: Iterable[Examined]) -> str:
    lines = (f"{i.file.split}\0{i.file.class_name}\0{i.file.name}\0{i.digest}" for i in images)
    return hashlib.sha256("\0\0".join(sorted(lines)).encode("utf-8", "surrogatepass")).hexdigest()


def _check_train(classes: Iterable[str], good: Iterable[Examined], bad: Sequence[LeftOut]) -> None:
    filled = {image.file.class_name for image in good if image.file.split == "train"}
    if lost := [name for name in classes if name not in filled]:
        reasons = "; ".join(_show(bad))
        shown = ", ".join(map(repr, lost[:5]))
        raise DataError(f"no image of these classes in train can be read: {shown} ({reasons}).")


def _check_splits(images: Iterable[Examined], splits: Iterable[str], value: str | Path) -> None:
    filled = {image.file.split for image in images}
    for split in splits:
        if split not in filled:
            raise DataError(
                f"{str(value)!r} has nothing for {split}: give {split}/ with images that can be read, "
                "or, where it is split off, at least two different images of a class."
            )


def say_left_out(left_out: Sequence[LeftOut], progress: Progress) -> None:
    """Tell how many files are not used, and why the first ones are not."""
    if left_out:
        more = f"; and {len(left_out) - _SHOWN} more" if len(left_out) > _SHOWN else ""
        progress.say(f"left out {_count(len(left_out), 'file')}: {'; '.join(_show(left_out))}{more}")


def _show(left_out: Sequence[LeftOut]) -> Iterator[str]:
    return (f"{str(item.path)!r}: {item.reason}" for item in left_out[:_SHOWN])


def _say_copies(images: Iterable[Examined], progress: Progress) -> None:
    """Tell what makes figures too good or too bad: the same image in two splits, or under two classes."""
    splits: defaultdict[str, set[str]] = defaultdict(set)
    classes: defaultdict[str, set[str]] = defaultdict(set)
    for image in images:
        splits[image.digest].add(image.file.split)
        classes[image.digest].add(image.file.class_name)
    for split in SPLITS[1:]:
        if shared := sum({"train", split} <= found for found in splits.values()):
            verb = "appears" if shared == 1 else "appear"
            counted = _count(shared, f"{split} image")
            progress.say(f"warning: {counted} also {verb} in train, so {split} accuracy is too optimistic")
    if torn := sum(len(found) > 1 for found in classes.values()):
        progress.say(f"warning: {_count(torn, 'image')} under more than one class")


def _describe(images: Images) -> str:
    counts = ((split, len(getattr(images, split))) for split in SPLITS)
    shown = ", ".join(f"{count} {split}" for split, count in counts if count)
    named = ", ".join(images.classes[:_NAMED])
    more = ", ..." if len(images.classes) > _NAMED else ""
    return f"{images.origin} -> {shown} images of {len(images.classes)} classes: {named}{more}"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
