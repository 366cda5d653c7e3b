"""Find the splits in the paths of a table without a column for the split."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from itertools import takewhile

from zoo.data.listing import ImageFile, show_names
from zoo.data.split_names import find_split, find_split_in, find_split_of_file, is_family
from zoo.errors import DataError

#: Folder of an image, and its class.
_Key = tuple[str, str]
#: Index of a folder in a path, and the split that it names.
_Found = tuple[int, str]


def split_by_path(files: Sequence[ImageFile]) -> list[ImageFile] | None:
    """Return the files with the splits in their paths, such as ``images/train/1.png``; None if no path has a split.

    All paths must have their split at the same depth. A folder that has the name of the image's class is not a split.
    As in a folder without a table, ``seg_train`` is a split if there is a ``seg_test``.

    Raises:
        DataError: If only some paths have a split, or at different depths.
    """
    # There are far fewer folders than images.
    keys = {(file.name.rpartition("/")[0], file.class_name) for file in files}
    start = _count_common(folder for folder, _ in keys)
    found = {key: _find_split(key, start, find_split) for key in keys}
    if not any(found.values()):
        found = _find_similar(keys, start)
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


def note_file_names(files: Iterable[ImageFile]) -> list[str]:
    """Return a note if the names of all files contain splits, as in ``train_1.png``, because these do not count.

    Args:
        files: Images that are not divided into splits.
    """
    first: dict[str, str] = {}
    for file in files:
        name = file.name.rpartition("/")[2]
        if (split := find_split_of_file(name.rpartition(".")[0])) is None:
            return []
        first.setdefault(split, name)
    if len(first) < 2:
        return []
    return [f"the file names contain splits, such as {show_names(first.values())}, but only folders and columns count"]


def _find_split(key: _Key, start: int, find: Callable[[str], str | None]) -> _Found | None:
    folder, class_name = key
    for depth, name in enumerate(folder.split("/")[start:]):
        if name != class_name and (split := find(name)):
            return depth, split
    return None


def _find_similar(keys: Iterable[_Key], start: int) -> dict[_Key, _Found | None]:
    """Find splits whose names contain other words, if the folders are a family or have a class in common."""
    classes: defaultdict[tuple[str, str], set[str]] = defaultdict(set)
    for folder, class_name in keys:
        for name in folder.split("/")[start:]:
            if name != class_name and (similar := find_split_in(name)):
                classes[similar].add(class_name)
    is_split = is_family(classes) or (
        len({split for split, _ in classes}) > 1 and bool(set.intersection(*classes.values()))
    )
    return {key: _find_split(key, start, _find_word) if is_split else None for key in keys}


def _find_word(name: str) -> str | None:
    similar = find_split_in(name)
    return similar[0] if similar else None


def _count_common(folders: Iterable[str]) -> int:
    """Return the number of folders with which all paths begin."""
    paths = [folder.split("/") for folder in folders]
    pairs = zip(min(paths), max(paths), strict=False)  # those in between have what both begin with in common
    return len(list(takewhile(lambda pair: pair[0] == pair[1], pairs)))
