"""Random folder trees: zoo finds the true splits and classes, or refuses the tree."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from folder_trees import Tree, make_tree
from zoo.data.listing import Listing, check_trainable
from zoo.data.sources import folder, layout
from zoo.data.sources.folder import list_folder
from zoo.errors import DataError

COUNT = 600


def find_errors(tree: Tree, top: Path, listing: Listing) -> list[str]:
    """Return the errors of a listing that are not reported: wrong labels, wrong splits, and missing files."""
    wrong = []
    used = {file.path.relative_to(top).as_posix(): file for file in listing.files}
    for name, file in used.items():
        split, class_name = tree.labeled.get(name, (None, None))
        # A train split alone is the same as no split, and zoo may say that it is not sure about a class.
        is_split_right = file.split == split or (not listing.has_splits and split in (None, "train"))
        is_reported = any(repr(file.class_name) in note for note in listing.notes)
        if not is_reported and not (is_split_right and file.class_name == class_name):
            wrong.append(f"{name}: {file.split} {file.class_name}")
    reported = [item.path.relative_to(top).as_posix() for item in listing.left_out]
    missing = {*tree.labeled, *tree.unlabeled} - used.keys()
    return wrong + [name for name in missing if not any(name == r or name.startswith(f"{r}/") for r in reported)]


def read_trees(path: Path) -> Iterator[list[str] | DataError]:
    """Write random trees and read each; yield the errors of its listing that are not reported, or why it is refused."""
    for seed in range(COUNT):
        tree = make_tree(Random(seed))
        top = path / f"{seed}"
        tree.write(top)
        try:
            listing = list_folder(top)
            check_trainable(listing, top)
        except DataError as refusal:
            yield refusal
        else:
            yield find_errors(tree, top, listing)


def is_misread(errors: list[str] | DataError) -> bool:
    return isinstance(errors, list) and bool(errors)


def test_no_tree_is_silently_misread_and_most_are_accepted(tmp_path: Path) -> None:
    read = [*read_trees(tmp_path)]
    assert len(read) == COUNT
    assert not any(map(is_misread, read))
    assert sum(isinstance(errors, DataError) for errors in read) < COUNT / 3


def test_deciding_by_names_alone_misreads_trees(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layout, "_refuse_unclear", lambda _nested: None)
    assert any(map(is_misread, read_trees(tmp_path)))


def test_ignoring_splits_inside_classes_misreads_trees(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folder, "refuse_hidden_splits", lambda _files, **_: None)
    assert any(map(is_misread, read_trees(tmp_path)))
