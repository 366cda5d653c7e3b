"""Refuse folders that are named like splits, but would be used as part of a class."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path

from zoo.data.listing import ImageFile
from zoo.data.split_names import find_split, find_split_in, is_family
from zoo.errors import DataError

#: Names of the subfolders that contain images, by the parts of the path of their folder.
_Tree = Mapping[tuple[str, ...], set[str]]


def refuse_hidden_splits(files: Iterable[ImageFile], *, has_splits: bool) -> None:
    """Refuse images in a folder that is named like another split, such as ``cats/test/1.jpg``.

    Training on them would be a silent mistake, because they may be test images.

    Args:
        files: Images whose names are relative to a class folder, or to a folder without class folders.
        has_splits: Whether the images were divided into splits.

    Raises:
        DataError: If there is such a folder.
    """
    # There are far fewer folders than images.
    folders = {(file.folder, file.split if has_splits else "", file.name.rpartition("/")[0]) for file in files}
    trees: defaultdict[tuple[Path, str], defaultdict[tuple[str, ...], set[str]]] = defaultdict(lambda: defaultdict(set))
    for top, split, inner in folders:
        parts = tuple(inner.split("/")) if inner else ()
        for depth, name in enumerate(parts):
            trees[top, split][parts[:depth]].add(name)
    for (top, split), tree in sorted(trees.items()):
        for parts in sorted(tree):
            if found := _find_hidden(tree, parts, split):
                name, hidden = found
                raise DataError(
                    f"cannot tell whether the folder {name!r} in {str(top.joinpath(*parts))!r} is the {hidden} split, "
                    "because zoo found it below the folders of the splits or classes. If it is a split, pass the "
                    "folder that contains all splits; if it is not, rename it."
                )


def _find_hidden(tree: _Tree, parts: tuple[str, ...], split: str) -> tuple[str, str] | None:
    """Return the first subfolder that may be another split than ``split``, and that split."""
    names = sorted(tree[parts])
    exact = {name: hidden for name in names if (hidden := find_split(name))}
    similar = {name: found for name in names if name not in exact and (found := find_split_in(name))}
    unclear = {
        name: hidden
        for name, (hidden, _) in similar.items()
        if is_family(similar.values()) or len(tree.get((*parts, name), ())) > 1
    }
    return next((item for item in (*exact.items(), *unclear.items()) if item[1] != split), None)
