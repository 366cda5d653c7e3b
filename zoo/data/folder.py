"""A folder becomes a list of files, each with its split and its class. Nothing is opened.

    train/ant/1.jpg  val/ant/2.jpg  [test/ant/3.jpg]     splits that are given
    train/ant/1.jpg  [test/ant/3.jpg]                    val will be split off train
    ant/1.jpg  bee/2.jpg                                 train and val will be split off

A single folder on top of these is passed through. Folders below a class folder belong to that class.
"""

from __future__ import annotations

import os
import stat
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from zoo.errors import DataError

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff")
SPLITS = ("train", "val", "test")
LAYOUTS = "understood are train/CLASS/IMAGE with val/CLASS/IMAGE and test/CLASS/IMAGE if you like, or CLASS/IMAGE"

_SPLIT_NAMES = {"train": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}
_LITTER = {"__macosx", "thumbs.db", "desktop.ini"}
_MAX_DEPTH = 64


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A file or folder that is not used, and why."""

    path: Path
    reason: str


@dataclass(frozen=True, slots=True)
class ImageFile:
    """A file that is an image by its name."""

    path: Path
    split: str
    class_name: str
    #: Path below the class folder, with ``/``, in Unicode NFC: the same on every machine.
    name: str


@dataclass(frozen=True, slots=True)
class Listing:
    """What a folder holds, in an order that does not depend on the file system."""

    folder: Path
    #: By split, the sorted names of its classes; a flat folder of classes is all ``train``.
    classes_of: dict[str, tuple[str, ...]]
    #: Sorted by split, class and name.
    files: tuple[ImageFile, ...]
    left_out: tuple[LeftOut, ...]
    #: Whether the folders of the classes lie at the top, without splits above them.
    is_flat: bool

    @property
    def splits(self) -> tuple[str, ...]:
        """The splits that have a folder."""
        return tuple(self.classes_of)

    @property
    def classes(self) -> tuple[str, ...]:
        """Sorted: those that have a folder in train."""
        return self.classes_of.get("train", ())


@dataclass(slots=True)
class _Walk:
    """What has been seen so far."""

    #: Real paths of folders that are not to be entered (again): links may lead back to them.
    known: set[str] = field(default_factory=set)
    files: list[ImageFile] = field(default_factory=list)
    left_out: list[LeftOut] = field(default_factory=list)


def list_images(folder: Path) -> Listing:
    """List the images of a folder by split and class, as learning from them needs it.

    Raises:
        DataError: the layout is not understood, a class has no image, or val or test has a class that train lacks.
    """
    listing = list_labelled(folder)
    _check(listing, asked=folder)
    return listing


def list_labelled(folder: Path) -> Listing:
    """List the images of a folder by split and class, whichever of them there are.

    Raises:
        DataError: two folders are the same split or the same class.
    """
    top = _descend(folder)
    walk = _Walk()
    splits = _find_splits(top, walk)
    classes = {split: _find_classes(where, walk) for split, where in splits.items()}
    known = [os.path.realpath(path) for path in (top, *splits.values())]
    known += [os.path.realpath(path) for found in classes.values() for path in found.values()]
    walk.known.update(known)
    for split, found in classes.items():
        for name, path in found.items():
            _walk_class(walk, path, split=split, class_name=name)
    files = tuple(sorted(walk.files, key=lambda file: (SPLITS.index(file.split), file.class_name, file.name)))
    left_out = tuple(sorted(walk.left_out, key=lambda item: str(item.path)))
    is_flat = splits == {"train": top}
    return Listing(top, {split: tuple(found) for split, found in classes.items()}, files, left_out, is_flat)


def _descend(folder: Path) -> Path:
    """Pass through folders that hold nothing but one folder, which is what archives mostly are."""
    for _ in range(_MAX_DEPTH):
        folders = _folders(folder)
        if len(folders) != 1 or folders[0].name.lower() in _SPLIT_NAMES or not _folders(folders[0]):
            break
        folder = folders[0]
    return folder


def _find_splits(top: Path, walk: _Walk) -> dict[str, Path]:
    # A folder ``train`` without folders in it is no split: it may hold the photos of trains.
    folders = _folders(top)
    named = [path for path in folders if path.name.lower() in _SPLIT_NAMES and _folders(path)]
    if not named:
        if folders and all(path.name.lower() in _SPLIT_NAMES for path in folders):
            raise DataError(f"{str(folders[0])!r} has no folder for each class; {LAYOUTS}.")
        return {"train": top}
    splits: dict[str, Path] = {}
    for path in folders:
        split = _SPLIT_NAMES.get(path.name.lower())
        if split is None:
            walk.left_out.append(LeftOut(path, "neither train, val nor test"))
        elif split == "test" and path not in named:
            walk.left_out.append(LeftOut(path, "a test split without class folders"))  # as competitions hand out
        elif split in splits:
            raise DataError(f"{str(top)!r} has both {splits[split].name!r} and {path.name!r}; keep one as {split}.")
        else:
            splits[split] = path
    walk.left_out += _loose_files(top)
    return {split: splits[split] for split in SPLITS if split in splits}


def _find_classes(where: Path, walk: _Walk) -> dict[str, Path]:
    """Map the names of classes, sorted, to their folders."""
    walk.left_out += _loose_files(where)
    classes: dict[str, Path] = {}
    real: dict[str, Path] = {}
    for path in _folders(where):
        name = unicodedata.normalize("NFC", path.name)  # what macOS packs is NFD elsewhere
        if not name.isprintable():
            raise DataError(f"the folder {name!r} in {str(where)!r} has a name that cannot be shown; rename it.")
        target = os.path.realpath(path)
        for other in (classes.get(name), real.get(target)):
            if other is not None:
                raise DataError(f"{str(other)!r} and {str(path)!r} are the same class; remove one or rename it.")
        classes[name] = real[target] = path
    return dict(sorted(classes.items()))


def _walk_class(walk: _Walk, top: Path, *, split: str, class_name: str) -> None:
    waiting = [top]
    while waiting:
        folder = waiting.pop()
        for path in _entries(folder):
            if path.is_dir():
                real = os.path.realpath(path)
                if real in walk.known:
                    walk.left_out.append(LeftOut(path, "a link to a folder that is listed already"))
                else:
                    walk.known.add(real)
                    waiting.append(path)
            elif reason := _find_reason(path):
                walk.left_out.append(LeftOut(path, reason))
            else:
                name = unicodedata.normalize("NFC", path.relative_to(top).as_posix())
                walk.files.append(ImageFile(path, split, class_name, name))


def _find_reason(path: Path) -> str | None:
    """Return why a file is not used; only its name and its kind are looked at."""
    if path.suffix.lower() not in IMAGE_SUFFIXES:
        return f"no image by its name: {path.suffix or 'no suffix'} is not one of {' '.join(IMAGE_SUFFIXES)}"
    try:
        mode = path.stat().st_mode
    except OSError as error:
        return f"cannot be opened: {error.strerror}"
    return None if stat.S_ISREG(mode) else "not a regular file"  # opening a pipe would wait for ever


def _check(listing: Listing, *, asked: Path) -> None:
    if "train" not in listing.splits:
        raise DataError(f"{str(asked)!r} has {', '.join(listing.splits)} but no train; {LAYOUTS}.")
    if len(listing.classes) < 2:
        found = f"one class, {listing.classes[0]!r}" if listing.classes else "no folder of images"
        raise DataError(f"{str(asked)!r} has {found}, and at least two classes are needed; {LAYOUTS}.")
    for split in listing.splits:
        unknown = [name for name in listing.classes_of[split] if name not in listing.classes]
        if unknown:
            shown = ", ".join(map(repr, unknown[:5]))
            raise DataError(f"{split} has classes that train lacks: {shown}; train has {len(listing.classes)} others.")
        if not any(file.split == split for file in listing.files):
            raise DataError(f"{split} holds no images; fill {str(asked / split)!r} or remove it.")
    filled = {file.class_name for file in listing.files if file.split == "train"}
    if empty := [name for name in listing.classes if name not in filled]:
        shown = ", ".join(map(repr, empty[:5]))
        raise DataError(f"classes of train without any image: {shown}; put images there or remove the folder.")


def _loose_files(folder: Path) -> Iterator[LeftOut]:
    return (LeftOut(path, "in no class's folder") for path in _entries(folder) if not path.is_dir())


def _folders(folder: Path) -> list[Path]:
    return [path for path in _entries(folder) if path.is_dir()]


def _entries(folder: Path) -> list[Path]:
    """List what is not hidden and no litter of an operating system, sorted."""
    try:
        found = sorted(folder.iterdir())
    except OSError as error:
        raise DataError(f"cannot list {str(folder)!r}: {error.strerror or error}.") from error
    return [path for path in found if not path.name.startswith(".") and path.name.lower() not in _LITTER]
