"""The labeled image files of a data source, listed before any of them is opened."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from operator import attrgetter
from pathlib import Path

from zoo.errors import DataError

SPLITS = ("train", "val", "test")
#: Maximum number of classes listed in an error message.
MAX_NAMES = 5


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A file or folder that is not used, and the reason."""

    path: Path
    reason: str
    #: Split that it would belong to, if this is known.
    split: str | None = None


@dataclass(frozen=True, slots=True)
class Span:
    """The place of an image in a shard, which is an uncompressed .tar archive."""

    shard: Path
    #: Index of the first byte.
    offset: int
    #: Number of bytes.
    size: int
    #: Size in bytes and modification time in nanoseconds that the shard had when it was indexed.
    state: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class ImageFile:
    """A labeled image file, or an image in a shard.

    There may be millions of them. Images therefore share the folder, the split and the class name, and have no path of
    their own.
    """

    #: Folder that is the same for many images.
    folder: Path
    #: Path relative to ``folder``, as the file system spells it. It may be absolute, and is usually equal to ``name``.
    location: str
    split: str
    class_name: str
    #: Path relative to the class folder or the table, with ``/`` and in Unicode NFC, so that it does not depend on the
    #: machine.
    name: str
    #: Images in the same group, such as photos of one patient, are never divided between train and val or test.
    group: str | None = None
    #: Where the image is in a shard; None if it is a file.
    span: Span | None = None
    #: Factor of the image's loss in training.
    loss_weight: float = 1.0

    @classmethod
    def below(cls, folder: Path, path: Path, split: str, class_name: str) -> ImageFile:
        """Return the image file at ``path``, which is inside ``folder``."""
        location = str(path.relative_to(folder))
        portable = location if os.sep == "/" else location.replace(os.sep, "/")
        return cls(folder, location, split, class_name, unicodedata.normalize("NFC", portable))

    @property
    def path(self) -> Path:
        """The path of the file. For an image in a shard, it consists of the shard's path and the image's name."""
        return self.folder / self.location


@dataclass(frozen=True, slots=True)
class Listing:
    """The image files of a data source."""

    #: Sorted class names of each split. Without splits, all classes belong to ``train``.
    classes_of: dict[str, tuple[str, ...]]
    #: Image files, sorted by split, class and name.
    files: tuple[ImageFile, ...]
    left_out: tuple[LeftOut, ...]
    #: Whether the source itself is divided into splits.
    has_splits: bool
    #: Description of the supported layouts, for error messages.
    layouts: str
    #: Notes for the user about how the source was interpreted.
    notes: tuple[str, ...] = ()
    #: Where the images were downloaded from, such as ``url`` and ``sha256``; None for the user's own files.
    source: Mapping[str, str | None] | None = None
    #: Kind of the source, one of those in `zoo.data.sources.kinds`.
    kind: str = "other"
    #: Every file in the order of the source, used or not, if the images need no labels; otherwise None.
    rows: tuple[ImageFile | LeftOut, ...] | None = None

    @classmethod
    def unlabeled(cls, rows: Iterable[ImageFile | LeftOut], notes: tuple[str, ...] = ()) -> Listing:
        """Build a listing of images that need no labels, in the given order."""
        found = tuple(rows)
        files = tuple(row for row in found if isinstance(row, ImageFile))
        left_out = tuple(row for row in found if isinstance(row, LeftOut))
        return cls({}, files, left_out, has_splits=False, layouts="", notes=notes, rows=found)

    def leave_out(self, others: Iterable[LeftOut]) -> Listing:
        """Return the listing with other files that are not used."""
        found = tuple(others)
        rows = None if self.rows is None else (*self.rows, *found)
        return replace(self, left_out=(*found, *self.left_out), rows=rows)

    @classmethod
    def of_files(
        cls, files: Iterable[ImageFile], left_out: Iterable[LeftOut], layouts: str, *, has_splits: bool,
        notes: tuple[str, ...] = (),
    ) -> Listing:  # fmt: skip
        """Build a listing whose splits and classes are taken from the files."""
        found = sort_files(files)
        classes: dict[str, set[str]] = {} if has_splits else {"train": set()}
        for file in found:
            classes.setdefault(file.split, set()).add(file.class_name)
        return cls(
            classes_of={split: tuple(sorted(classes[split])) for split in SPLITS if split in classes},
            files=found,
            left_out=tuple(left_out),
            has_splits=has_splits,
            layouts=layouts,
            notes=notes,
        )

    @property
    def splits(self) -> tuple[str, ...]:
        """The splits of the source, or ``train`` if it has none."""
        return tuple(self.classes_of)

    @property
    def classes(self) -> tuple[str, ...]:
        """The sorted class names of train, which determine the labels."""
        return self.classes_of.get("train", ())


def sort_files(files: Iterable[ImageFile]) -> tuple[ImageFile, ...]:
    """Return image files sorted by split, class and name."""
    # Three stable sorts need less memory than one by tuples.
    found = sorted(files, key=attrgetter("name"))
    found.sort(key=attrgetter("class_name"))
    found.sort(key=lambda file: SPLITS.index(file.split))
    return tuple(found)


def merge_listings(listings: Sequence[Listing]) -> Listing:
    """Combine the listings of the splits of one data source, in the order train, val, test."""
    notes = dict.fromkeys(note for listing in listings for note in listing.notes)
    return Listing(
        classes_of={split: names for listing in listings for split, names in listing.classes_of.items()},
        files=tuple(file for listing in listings for file in listing.files),
        left_out=tuple(item for listing in listings for item in listing.left_out),
        has_splits=True,
        layouts=listings[0].layouts,
        notes=tuple(notes),
        rows=_merge_rows(listings),
    )


def _merge_rows(listings: Sequence[Listing]) -> tuple[ImageFile | LeftOut, ...] | None:
    rows = [listing.rows for listing in listings if listing.rows is not None]
    return tuple(row for some in rows for row in some) if rows else None


def check_trainable(listing: Listing, origin: str) -> None:
    """Check that a model can be trained on the images of the data source ``origin``.

    Raises:
        DataError: If train is missing or has fewer than two classes, a class or a split has no image, or val or test
            has a class that train lacks.
    """
    if "train" not in listing.splits:
        raise DataError(f"{origin!r} has {', '.join(listing.splits)} but no train; {listing.layouts}.")
    if listing.classes and not listing.files:
        raise DataError(f"{origin!r} has no images; {listing.layouts}.")
    if len(listing.classes) < 2:
        found = f"only one class, {listing.classes[0]!r}" if listing.classes else "no folder of images"
        raise DataError(f"{origin!r} has {found}, but training needs at least two classes; {listing.layouts}.")
    for split, classes in listing.classes_of.items():
        if unknown := [name for name in classes if name not in listing.classes]:
            others = f"train has {len(listing.classes)} different classes"
            raise DataError(f"{split} has classes that are missing from train: {show_names(unknown)}; {others}.")
        if not any(file.split == split for file in listing.files):
            raise DataError(f"{origin!r} has no images in {split}; add some, or remove {split}.")
    filled = {file.class_name for file in listing.files if file.split == "train"}
    if empty := [name for name in listing.classes if name not in filled]:
        raise DataError(
            f"these classes have no training images: {show_names(empty)}; add images, or remove the classes."
        )


def show_names(names: Iterable[str]) -> str:
    """Return the first few names, quoted, for an error message."""
    return ", ".join([repr(name) for name in names][:MAX_NAMES])
