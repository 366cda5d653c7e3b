"""Enter folders that contain nothing but one subfolder with everything else, as in many archives."""

from __future__ import annotations

from pathlib import Path

from zoo.data.sources.entries import Entries, list_entries
from zoo.data.split_names import find_split

#: Maximum number of nested single folders to enter.
_MAX_DEPTH = 64


def enter_single_folder(folder: Path, entries: Entries | None = None) -> tuple[Path, list[Entries]]:
    """Return the folder itself, or its only subfolder if that contains the classes or splits.

    The second result is the contents of the folder and of all folders that were entered, the last of them first.

    Raises:
        DataError: If a folder cannot be read.
    """
    passed = [entries or list_entries(folder)]
    for _ in range(_MAX_DEPTH):
        folders = passed[0].folders
        if len(folders) != 1 or find_split(folders[0].name):
            break
        inside = list_entries(folders[0])
        if not inside.folders:
            break
        folder = folders[0]
        passed.insert(0, inside)
    return folder, passed
