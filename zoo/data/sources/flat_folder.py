"""List the images of a folder whose classes are part of the file names, such as ``train/cat.0.jpg``."""

from __future__ import annotations

import re
import sys
import unicodedata
from pathlib import Path

from zoo.data.listing import ImageFile, LeftOut, Listing
from zoo.data.sources.entries import list_entries
from zoo.data.sources.walk import walk_files
from zoo.data.split_names import find_split
from zoo.errors import DataError

LAYOUT = "with `label_from`, the name of each image file must contain its class"


def list_flat_folder(folder: Path, pattern: re.Pattern[str]) -> Listing:
    """List the images of a folder, in subfolders too. Subfolders with the name of a split are used as splits.

    Args:
        folder: Folder of images.
        pattern: Regular expression to search for in each file name. The text of its group, or the whole match, is the
            class.

    Raises:
        DataError: If no name matches, two folders have names for the same split, or a folder cannot be read.
    """
    entries = list_entries(folder)
    splits = _find_splits(folder, entries.folders)
    left_out = list(entries.left_out) if splits else []
    if splits:
        beside = [path for path in (*entries.folders, *entries.files) if path not in splits.values()]
        left_out += (LeftOut(path, "not train, val or test") for path in beside)
    files: list[ImageFile] = []
    for split, top in (splits or {"train": folder}).items():
        for path, reason in walk_files(top):
            if reason or not (class_name := _find_class(pattern, path.name)):
                left_out.append(LeftOut(path, reason or "its name does not match `label_from`"))
            else:
                files.append(ImageFile.below(top, path, split, sys.intern(class_name)))
    if not files:
        raise DataError(f"{str(folder)!r} has no image whose name matches `label_from` {pattern.pattern!r}.")
    left_out.sort(key=lambda item: str(item.path))
    return Listing.of_files(files, left_out, LAYOUT, has_splits=bool(splits))


def _find_splits(top: Path, folders: tuple[Path, ...]) -> dict[str, Path]:
    splits: dict[str, Path] = {}
    for path in folders:
        if split := find_split(path.name):
            if split in splits:
                raise DataError(f"{str(top)!r} has both {splits[split].name!r} and {path.name!r}; keep one as {split}.")
            splits[split] = path
    return splits


def _find_class(pattern: re.Pattern[str], name: str) -> str | None:
    """Return the class in a file name; None if the pattern does not match, or matches nothing."""
    match = pattern.search(unicodedata.normalize("NFC", name))
    return match.group(match.re.groups) or None if match else None
