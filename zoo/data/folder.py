"""List the images of a folder by split and class, without opening them.

    train/ant/1.jpg  val/ant/2.jpg  [test/ant/3.jpg]     The splits are given.
    train/ant/1.jpg  [test/ant/3.jpg]                    val is split off from train.
    ant/1.jpg  bee/2.jpg                                 There are no splits; val is split off from all images.

If the folder has only one subfolder, and that subfolder has one of these layouts, the subfolder is used instead. Images
in subfolders of a class folder belong to that class.

A link stands for the file or folder that it leads to, with two exceptions, so that no link adds half of the disk. A
link to a folder that contains the link is left out, and so is a link in a class folder to a folder outside.
"""

from __future__ import annotations

import os
import stat
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from zoo.data.listing import SPLITS, ImageFile, LeftOut, Listing
from zoo.errors import DataError

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff")
LAYOUTS = "use train/CLASS/IMAGE, optionally with val/CLASS/IMAGE and test/CLASS/IMAGE, or CLASS/IMAGE"

_SPLIT_NAMES = {"train": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}
#: Maximum number of nested single folders to enter.
_MAX_DEPTH = 64
#: Files and folders that operating systems add.
_SYSTEM_FILES = {"__macosx", "thumbs.db", "desktop.ini"}


@dataclass(slots=True)
class _Walk:
    """The folders visited and the files found so far."""

    #: Real path of the folder that contains the splits or classes.
    top: str
    #: Real paths of folders that must not be entered again; links may lead back to them.
    visited: set[str] = field(default_factory=set)
    files: list[ImageFile] = field(default_factory=list)
    left_out: list[LeftOut] = field(default_factory=list)


def list_labeled(folder: Path) -> Listing:
    """List the images of a folder by split and class.

    Raises:
        DataError: If two folders stand for the same split or class, or a folder cannot be read.
    """
    top = _enter_single_folder(folder)
    walk = _Walk(os.path.realpath(top))
    splits = _find_splits(top, walk)
    classes = {split: _find_classes(path, walk) for split, path in splits.items()}
    class_folders = [path for found in classes.values() for path in found.values()]
    walk.visited.update(os.path.realpath(path) for path in (top, *splits.values(), *class_folders))
    for split, found in classes.items():
        for class_name, path in found.items():
            _walk_class(walk, path, split=split, class_name=class_name)
    return Listing(
        classes_of={split: tuple(found) for split, found in classes.items()},
        files=tuple(sorted(walk.files, key=lambda file: (SPLITS.index(file.split), file.class_name, file.name))),
        left_out=tuple(sorted(walk.left_out, key=lambda item: str(item.path))),
        has_splits=splits != {"train": top},
        layouts=LAYOUTS,
    )


def _enter_single_folder(folder: Path) -> Path:
    """Return the folder itself, or its only subfolder if that contains the classes or splits, as in many archives."""
    for _ in range(_MAX_DEPTH):
        folders = _list_folders(folder)
        if len(folders) != 1 or folders[0].name.lower() in _SPLIT_NAMES or not _list_folders(folders[0]):
            return folder
        (folder,) = folders
    return folder


def _find_splits(top: Path, walk: _Walk) -> dict[str, Path]:
    # A folder ``train`` without subfolders is not a split: it may contain photos of trains.
    folders = _list_folders(top)
    named = [path for path in folders if path.name.lower() in _SPLIT_NAMES and _list_folders(path)]
    if not named:
        if folders and all(path.name.lower() in _SPLIT_NAMES for path in folders):
            raise DataError(f"{str(folders[0])!r} has no class folders; {LAYOUTS}.")
        return {"train": top}
    splits: dict[str, Path] = {}
    for path in folders:
        split = _SPLIT_NAMES.get(path.name.lower())
        if split is None:
            walk.left_out.append(LeftOut(path, "not train, val or test"))
        elif split == "test" and path not in named:  # Competitions often publish an unlabeled test split.
            walk.left_out.append(LeftOut(path, "a test split without class folders"))
        elif split in splits:
            raise DataError(f"{str(top)!r} has both {splits[split].name!r} and {path.name!r}; keep one as {split}.")
        else:
            splits[split] = path
    walk.left_out += _list_loose_files(top)
    return {split: splits[split] for split in SPLITS if split in splits}


def _find_classes(split_folder: Path, walk: _Walk) -> dict[str, Path]:
    """Return the class folders of a split by class name, sorted."""
    walk.left_out += _list_loose_files(split_folder)
    classes: dict[str, Path] = {}
    by_real_path: dict[str, Path] = {}
    for path in _list_folders(split_folder):
        name = unicodedata.normalize("NFC", path.name)  # Archives created on macOS contain names in NFD.
        if not name.isprintable():
            raise DataError(f"the folder {name!r} in {str(split_folder)!r} has an unprintable name; rename it.")
        real_path = os.path.realpath(path)
        if other := classes.get(name) or by_real_path.get(real_path):
            raise DataError(f"{str(other)!r} and {str(path)!r} are the same class; remove one or rename it.")
        classes[name] = by_real_path[real_path] = path
    return dict(sorted(classes.items()))


def _walk_class(walk: _Walk, top: Path, *, split: str, class_name: str) -> None:
    pending, class_folder = [top], os.path.realpath(top)
    while pending:
        for path in _list_entries(pending.pop()):
            if _is_folder(path):
                real_path = os.path.realpath(path)
                if real_path in walk.visited:
                    walk.left_out.append(LeftOut(path, "a link to a folder that is already listed"))
                elif path.is_symlink() and not any(_is_inside(real_path, own) for own in (walk.top, class_folder)):
                    walk.left_out.append(LeftOut(path, "a link to a folder outside the data folder"))
                else:
                    walk.visited.add(real_path)
                    pending.append(path)
            elif reason := _find_reason(path):
                walk.left_out.append(LeftOut(path, reason))
            else:
                name = unicodedata.normalize("NFC", path.relative_to(top).as_posix())
                walk.files.append(ImageFile(path, split, class_name, name))


def _find_reason(path: Path) -> str | None:
    """Return why a file cannot be used, based only on its name and type, or None if it can be used."""
    if path.suffix.lower() not in IMAGE_SUFFIXES:
        return f"unsupported file type {path.suffix or '(no suffix)'} (zoo reads {' '.join(IMAGE_SUFFIXES)})"
    try:
        mode = path.stat().st_mode
    except OSError as error:
        return f"cannot be opened: {error.strerror}"
    return None if stat.S_ISREG(mode) else "not a regular file"  # Opening a named pipe would block forever.


def _list_loose_files(folder: Path) -> Iterator[LeftOut]:
    for path in _list_entries(folder):
        if _is_circle(path):
            yield LeftOut(path, "a link to a folder that contains it")
        elif not _is_folder(path):
            yield LeftOut(path, "not in a class folder")


def _list_folders(folder: Path) -> list[Path]:
    return [path for path in _list_entries(folder) if _is_folder(path) and not _is_circle(path)]


def _is_circle(path: Path) -> bool:
    """Return whether a path is a link to a folder that contains it."""
    return path.is_symlink() and _is_inside(os.path.realpath(path.parent), os.path.realpath(path))


def _is_inside(path: str, folder: str) -> bool:
    """Return whether a real path is that of the folder or of something in it."""
    return Path(path).is_relative_to(folder)


def _is_folder(path: Path) -> bool:
    """Return whether a path is a folder; a link that leads nowhere is not.

    Raises:
        DataError: If the path cannot be accessed.
    """
    try:
        return stat.S_ISDIR(path.stat().st_mode)
    except PermissionError as error:
        raise DataError(f"cannot open {str(path)!r}: {error.strerror}; change its permissions or remove it.") from error
    except OSError:
        return False


def _list_entries(folder: Path) -> list[Path]:
    """Return the sorted contents of a folder, except hidden files and those that operating systems add."""
    try:
        found = sorted(folder.iterdir())
    except OSError as error:
        raise DataError(
            f"cannot list {str(folder)!r}: {error.strerror or error}; change its permissions or remove it."
        ) from error
    return [path for path in found if not path.name.startswith(".") and path.name.lower() not in _SYSTEM_FILES]
