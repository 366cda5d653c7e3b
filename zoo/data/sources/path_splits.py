"""Find the splits in the paths of a table without a column for the split."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import takewhile

from zoo.data.listing import ImageFile
from zoo.data.split_names import find_split
from zoo.errors import DataError

#: Index of a folder in a path, and the split that it names.
_Found = tuple[int, str]


def split_by_path(files: Sequence[ImageFile]) -> list[ImageFile] | None:
    """Return the files with the splits in their paths, such as ``images/train/1.png``; None if no path has a split.

    All paths must have their split at the same depth. A folder that has the name of the image's class is not a split.

    Raises:
        DataError: If only some paths have a split, or at different depths.
    """
    # There are far fewer folders than images.
    keys = {(file.name.rpartition("/")[0], file.class_name) for file in files}
    start = _count_common(folder for folder, _ in keys)
    found = {(folder, name): _find_split(folder, name, start) for folder, name in keys}
    places = set(found.values())
    if places == {None}:
        # A table of the folder train alone has a split, too.
        return list(files) if all(find_split(folder.partition("/")[0]) == "train" for folder, _ in keys) else None
    if None in places or len({place[0] for place in places if place}) > 1:
        named = next(f"{folder}/" for (folder, _), place in found.items() if place)
        other = next((f"{folder}/" for (folder, _), place in found.items() if not place), "others")
        raise DataError(
            f"some paths contain the name of a split, such as {named!r}, but not all of them, or not in the same place "
            f"(such as {other!r}). Add a column `split` with the split of each image"
        )
    splits = {key: place[1] for key, place in found.items() if place}
    return [replace(file, split=splits[file.name.rpartition("/")[0], file.class_name]) for file in files]


def _find_split(folder: str, class_name: str, start: int) -> _Found | None:
    for depth, name in enumerate(folder.split("/")[start:]):
        if name != class_name and (split := find_split(name)):
            return depth, split
    return None


def _count_common(folders: Iterable[str]) -> int:
    """Return the number of folders with which all paths begin."""
    paths = [folder.split("/") for folder in folders]
    pairs = zip(min(paths), max(paths), strict=False)  # those in between have what both begin with in common
    return len(list(takewhile(lambda pair: pair[0] == pair[1], pairs)))
