"""List the images of a folder by split and class, without opening them.

    train/ant/1.jpg  val/ant/2.jpg  [test/ant/3.jpg]     The splits are given.
    train/ant/1.jpg  [test/ant/3.jpg]                    val is split off from train.
    ant/1.jpg  bee/2.jpg                                 There are no splits; val is split off from all images.

If the folder has only one subfolder, and that subfolder has one of these layouts, the subfolder is used instead. Images
in subfolders of a class folder belong to that class.
"""

from __future__ import annotations

import os
import unicodedata
from dataclasses import dataclass, field
from pathlib import Path

from zoo.data.listing import ImageFile, LeftOut, Listing, sort_files
from zoo.data.sources.archive import is_archive_name
from zoo.data.sources.entries import Entries, find_unsupported, list_entries
from zoo.data.sources.hidden_splits import refuse_hidden_splits
from zoo.data.sources.layout import LAYOUTS, read_layout, refuse_kind
from zoo.data.sources.named_classes import suggest_label_from
from zoo.data.sources.path_splits import note_file_names
from zoo.data.sources.single_folder import enter_single_folder
from zoo.data.sources.walk import walk_files
from zoo.errors import DataError
from zoo.progress.printable import is_printable

#: Maximum number of files that a message about a folder without images names.
_MAX_OTHERS = 3


@dataclass(slots=True)
class _Walk:
    """The folders visited and the files found so far."""

    #: Real path of the folder that contains the splits or classes.
    top: str = ""
    #: Real paths of folders that must not be entered again; links may lead back to them.
    visited: set[str] = field(default_factory=set)
    files: list[ImageFile] = field(default_factory=list)
    left_out: list[LeftOut] = field(default_factory=list)


def list_folder(folder: Path, listed: Entries | None = None) -> Listing:
    """List the images of a folder by split and class.

    Args:
        folder: The folder.
        listed: Contents of the folder, if they are already listed.

    Raises:
        DataError: If it is unclear which folders are splits, two folders have names for the same split or class, or a
            folder cannot be read.
    """
    walk = _Walk()
    top, (entries, *outer) = enter_single_folder(folder, listed)
    for passed in outer:
        _leave_out_loose_files(passed, walk)
    walk.top = os.path.realpath(top)
    layout = read_layout(top, entries)
    walk.left_out += layout.left_out
    if layout.has_splits:
        _leave_out_loose_files(entries, walk)
    excluded = {item.path for item in layout.left_out}
    classes = {
        split: _find_classes(path, excluded, walk, entries if path == top else None)
        for split, path in layout.splits.items()
    }
    class_folders = [path for found in classes.values() for path in found.values()]
    walk.visited.update(os.path.realpath(path) for path in (top, *layout.splits.values(), *class_folders))
    for split, found in classes.items():
        for class_name, path in found.items():
            _walk_class(walk, path, split=split, class_name=class_name)
    refuse_hidden_splits(walk.files, has_splits=layout.has_splits)
    return Listing(
        classes_of={split: tuple(found) for split, found in classes.items()},
        files=sort_files(walk.files),
        left_out=tuple(sorted(walk.left_out, key=lambda item: str(item.path))),
        has_splits=layout.has_splits,
        layouts=_describe_other_files(walk) + LAYOUTS + suggest_label_from(item.path for item in walk.left_out),
        notes=(*layout.notes, *([] if layout.has_splits else note_file_names(walk.files))),
    )


def _describe_other_files(walk: _Walk) -> str:
    """Return the beginning of a message that says what a folder without any image contains instead."""
    if walk.files or any(find_unsupported(item.path) is None for item in walk.left_out):
        return ""
    for item in walk.left_out:
        if is_archive_name(item.path.name):
            return f"it contains the archive {item.path.name!r}, so unpack it and pass its folder, or "
    shown = ", ".join(repr(item.path.name) for item in walk.left_out[:_MAX_OTHERS])
    return f"it contains only {shown}{', ...' if len(walk.left_out) > _MAX_OTHERS else ''}; " if shown else ""


def _find_classes(split_folder: Path, excluded: set[Path], walk: _Walk, entries: Entries | None) -> dict[str, Path]:
    """Return the class folders of a split by class name, sorted. Its contents may already be listed."""
    entries = entries or list_entries(split_folder)
    _leave_out_loose_files(entries, walk)
    classes: dict[str, Path] = {}
    by_real_path: dict[str, Path] = {}
    for path in entries.folders:
        if path in excluded:
            continue
        name = unicodedata.normalize("NFC", path.name)  # Archives created on macOS contain names in NFD.
        if not is_printable(name):
            raise DataError(f"the folder {name!r} in {str(split_folder)!r} has an unprintable name; rename it.")
        real_path = os.path.realpath(path)
        if other := classes.get(name) or by_real_path.get(real_path):
            raise DataError(f"{str(other)!r} and {str(path)!r} are the same class; remove one or rename it.")
        refuse_kind(path)
        classes[name] = by_real_path[real_path] = path
    return dict(sorted(classes.items()))


def _walk_class(walk: _Walk, top: Path, *, split: str, class_name: str) -> None:
    for path, reason in walk_files(top, roots=(walk.top,), visited=walk.visited):
        if reason:
            walk.left_out.append(LeftOut(path, reason, split))
        else:
            walk.files.append(ImageFile.below(top, path, split, class_name))


def _leave_out_loose_files(entries: Entries, walk: _Walk) -> None:
    walk.left_out += entries.left_out
    walk.left_out += (LeftOut(path, "not in a class folder") for path in entries.files)
