"""List the images of a folder whose classes are part of the file names, such as ``train/cat.0.jpg``."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from zoo.data.listing import ImageFile, LeftOut, Listing, show_names
from zoo.data.sources.entries import Entries, find_unsupported
from zoo.data.sources.file_name_classes import find_classes
from zoo.data.sources.hidden_splits import refuse_hidden_splits
from zoo.data.sources.path_splits import note_file_names
from zoo.data.sources.single_folder import enter_single_folder
from zoo.data.sources.walk import walk_files
from zoo.data.split_names import find_split, find_split_in, is_family
from zoo.errors import DataError

LAYOUT = "with `label_from`, the name of each image file must contain its class"


def list_flat_folder(folder: Path, pattern: re.Pattern[str]) -> Listing:
    """List the images of a folder, in subfolders too. Subfolders with the name of a split are used as splits.

    Args:
        folder: Folder of images.
        pattern: Regular expression to search for in each file name. The text of its group, or the whole match, is the
            class.

    Raises:
        DataError: If no name matches, the search takes too long, it is unclear which folders are splits, two folders
            have names for the same split, or a folder cannot be read.
    """
    top, (entries, *outer) = enter_single_folder(folder)
    if any(find_unsupported(path) is None for passed in outer for path in passed.files):
        top, (entries, *outer) = folder, (outer[-1],)  # the images beside the subfolder belong to the data set, too
    splits = _find_splits(top, entries.folders)
    left_out = [item for passed in outer for item in _leave_out(passed, passed.files)]
    if splits:
        left_out += _leave_out(
            entries, [path for path in (*entries.folders, *entries.files) if path not in splits.values()]
        )
    found = [
        (split, start, *walked) for split, start in (splits or {"train": top}).items() for walked in walk_files(start)
    ]
    matches = find_classes(pattern, [path.name for _, _, path, reason in found if not reason])
    classes = iter(matches.classes)
    files: list[ImageFile] = []
    for split, start, path, reason in found:
        if reason or not (class_name := next(classes)):
            left_out.append(LeftOut(path, reason or "its name does not match `label_from`", split))
        else:
            if not class_name.isprintable():
                raise DataError(f"the name of {str(path)!r} has the unprintable class {class_name!r}; rename it.")
            files.append(ImageFile.below(start, path, split, sys.intern(class_name)))
    if not files:
        raise DataError(f"{str(folder)!r} has no image whose name matches `label_from` {pattern.pattern!r}.")
    refuse_hidden_splits(files, has_splits=bool(splits))
    left_out.sort(key=lambda item: str(item.path))
    notes = [*matches.notes, *_note_other_classes(files)]
    notes += [] if splits else [*_note_folders(files), *note_file_names(files)]
    return Listing.of_files(files, left_out, LAYOUT, has_splits=bool(splits), notes=tuple(notes))


def _note_other_classes(files: Sequence[ImageFile]) -> list[str]:
    """Return a note if images are in a folder that has the name of another class than their file name."""
    classes = {file.class_name for file in files}
    folders = ((file, file.name.rpartition("/")[0].rpartition("/")[2]) for file in files)
    others = [file for file, folder in folders if folder in classes and folder != file.class_name]
    if not others:
        return []
    one = others[0]
    about = f"for {len(others)} of {len(files)} images, `label_from` finds another class than the name of the folder"
    return [f"{about}, as in {one.name!r}, which is {one.class_name!r}"]


def _note_folders(files: Iterable[ImageFile]) -> list[str]:
    """Return a note if the images come from several folders, which may be splits with names that zoo does not know."""
    folders = sorted({file.name.partition("/")[0] for file in files if "/" in file.name})
    if len(folders) < 2:
        return []
    return [f"the images of the folders {show_names(folders)} are used together, because no folder is a split"]


def _leave_out(entries: Entries, paths: Iterable[Path]) -> list[LeftOut]:
    return [*entries.left_out, *(LeftOut(path, "not train, val or test") for path in paths)]


def _find_splits(top: Path, folders: tuple[Path, ...]) -> dict[str, Path]:
    """Return the folders that are splits, by split.

    Raises:
        DataError: If two folders are the same split, or it is unclear whether a folder is a split.
    """
    exact = [(split, path) for path in folders if (split := find_split(path.name))]
    similar = [(found, path) for path in folders if not find_split(path.name) and (found := find_split_in(path.name))]
    if similar and len(folders) > 1 and not exact and not is_family(found for found, _ in similar):
        (split, _), path = similar[0]
        raise DataError(
            f"cannot tell whether {path.name!r} in {str(top)!r} is a split; if it is, rename it to {split}; if it is "
            f"not, choose a name without {split!r}."
        )
    splits: dict[str, Path] = {}
    for split, path in (*exact, *((split, path) for (split, _), path in similar)):
        if split in splits:
            raise DataError(
                f"{str(top)!r} has both {splits[split].name!r} and {path.name!r}; both mean {split}, so keep only one."
            )
        splits[split] = path
    return splits
