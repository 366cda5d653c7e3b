"""Decide which folders of a data set are splits and which are classes.

The name is not enough to decide: ``train`` may contain photos of trains, and ``train_station`` may be a class. A folder
is a split if it has the name of a split and contains class folders. If the names and the contents contradict each
other, zoo refuses the data set instead of guessing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from zoo.data.listing import SPLITS, LeftOut, show_names
from zoo.data.sources.entries import Entries, list_entries
from zoo.data.sources.named_classes import suggest_label_from
from zoo.data.split_names import find_split, find_split_in, is_family
from zoo.errors import DataError

#: Names, in lowercase, of folders that say what kind of files they contain, and not what the images show.
_KINDS = (
    "images",
    "image",
    "imgs",
    "img",
    "photos",
    "pictures",
    "masks",
    "mask",
    "annotations",
    "labels",
    "segmentation",
)
LAYOUTS = "use train/CLASS/IMAGE, optionally with val/CLASS/IMAGE and test/CLASS/IMAGE, or CLASS/IMAGE"


@dataclass(frozen=True, slots=True)
class Layout:
    """The folders that contain the classes of each split."""

    #: Folder by split, in the order train, val, test. Without splits, the folder itself is ``train``.
    splits: dict[str, Path]
    has_splits: bool
    left_out: tuple[LeftOut, ...] = ()
    #: Notes for the user about the folder names.
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Candidate:
    """A folder that may be a split or a class."""

    #: Name of the folder in the data set.
    name: str
    #: The folder, or the folder of the same name inside it: archives often contain ``test/test``.
    path: Path
    entries: Entries
    #: Split that the whole name refers to, such as ``Training_Set``.
    split: str | None
    #: Split that is part of the name, such as ``seg_train``, and the rest of the name.
    similar: tuple[str, str] | None

    @property
    def classes(self) -> set[str]:
        """Names of its subfolders."""
        return {path.name for path in self.entries.folders}


def read_layout(top: Path, entries: Entries) -> Layout:
    """Find the splits of a folder.

    Args:
        top: Folder of the data set.
        entries: Contents of the folder.

    Raises:
        DataError: If it is unclear which folders are splits, or two folders have names for the same split.
    """
    candidates = [_open_candidate(path) for path in entries.folders]
    nested = [candidate for candidate in candidates if candidate.classes]
    splits = _find_splits(nested)
    if not splits:
        _refuse_unclear(nested)
        return _read_classes(top, candidates)
    if len(splits) == 1:
        _refuse_classes_beside(splits[0], candidates)
    by_split: dict[str, _Candidate] = {}
    for split, candidate in splits:
        if other := by_split.get(split):
            raise DataError(
                f"{str(top)!r} has both {other.name!r} and {candidate.name!r}; both mean {split}, so keep only one."
            )
        by_split[split] = candidate
    beside = [c for c in candidates if all(c is not chosen for _, chosen in splits)]
    return Layout(
        {split: by_split[split].path for split in SPLITS if split in by_split},
        has_splits=True,
        left_out=tuple(LeftOut(c.path, _explain_beside(c)) for c in beside),
    )


def _open_candidate(path: Path) -> _Candidate:
    name, entries = path.name, list_entries(path)
    while len(entries.folders) == 1 and entries.folders[0].name.lower() == name.lower():
        (path,) = entries.folders
        entries = list_entries(path)
    split = find_split(name)
    return _Candidate(name, path, entries, split, None if split else find_split_in(name))


def _find_splits(nested: Sequence[_Candidate]) -> list[tuple[str, _Candidate]]:
    """Return the folders that are splits; there are none if all folders are classes."""
    exact = [(candidate.split, candidate) for candidate in nested if candidate.split]
    similar = [candidate for candidate in nested if candidate.similar]
    if exact or _are_family(similar) or _share_classes(similar):
        return [*exact, *((candidate.similar[0], candidate) for candidate in similar if candidate.similar)]
    return []


def _are_family(similar: Sequence[_Candidate]) -> bool:
    return is_family(candidate.similar for candidate in similar if candidate.similar)


def _share_classes(similar: Sequence[_Candidate]) -> bool:
    """Return whether folders of different splits contain the same class, like ``cars_train/vw`` and ``test_b/vw``."""
    splits = {candidate.similar[0] for candidate in similar if candidate.similar}
    return len(splits) > 1 and bool(set.intersection(*(candidate.classes for candidate in similar)))


def _refuse_unclear(nested: Sequence[_Candidate]) -> None:
    """Refuse folders that may be splits although their names are unclear."""
    for candidate in nested:
        if candidate.similar and len(candidate.classes) > 1:
            raise DataError(
                f"cannot tell whether {candidate.name!r} is a split or a class, because it contains folders; "
                f"if it is a split, rename it to {candidate.similar[0]}; if it is a class, move its images out of the "
                "subfolders."
            )
    first: dict[str, _Candidate] = {}
    for one in nested:
        for name in sorted(one.classes):
            other = first.setdefault(name, one)
            # A split has more than one class, so cats/images and dogs/images are classes.
            if other is not one and len(one.classes | other.classes) > 1:
                shared = show_names(sorted(one.classes & other.classes))
                raise DataError(
                    f"{other.name!r} and {one.name!r} contain folders with the same names ({shared}). If they are"
                    " splits, rename them to train, val and test; if they are classes, move their images out of the "
                    "subfolders."
                )


def refuse_kind(class_folder: Path) -> None:
    """Refuse a folder such as ``images`` as a class if it contains folders, because these are probably the classes.

    Raises:
        DataError: If it has such a name and contains several folders.
    """
    if class_folder.name.lower() not in _KINDS:
        return
    inner = [path.name for path in list_entries(class_folder).folders]
    if len(inner) > 1 and not any(map(find_split, inner)):  # Hidden splits are refused with other advice.
        raise DataError(
            f"cannot tell whether {str(class_folder)!r} is a class, because it contains the folders "
            f"{show_names(inner)}. If these are the classes, move them to its parent folder, and the folders beside it "
            "elsewhere; if it is a class, rename it."
        )


def _refuse_classes_beside(only: tuple[str, _Candidate], candidates: Sequence[_Candidate]) -> None:
    """Refuse a single split beside folders of images, because all of them may be classes."""
    split, one = only
    beside = [c.name for c in candidates if c.split is None and c.similar is None and c.entries.files]
    if beside and one.name not in beside:
        raise DataError(
            f"cannot tell whether {one.name!r} is the {split} split or a class: it contains folders, but "
            f"{show_names(beside)} beside it contain files. Move the other classes into {one.name!r} if it is a split; "
            "rename it if it is a class."
        )


def _read_classes(top: Path, candidates: Sequence[_Candidate]) -> Layout:
    """Read a folder without splits. Folders with the name of a split are not classes."""
    named = [candidate for candidate in candidates if candidate.split]
    similar = [candidate for candidate in candidates if candidate.similar]
    if candidates and (len(named) == len(candidates) or _are_family(similar)):
        first = min(named or similar, key=_rank)
        hint = suggest_label_from(first.entries.files)
        raise DataError(f"{str(first.path)!r} has no class folders; {LAYOUTS}{hint}.")
    for candidate in named:
        if candidate.split != "test":
            raise DataError(
                f"{str(candidate.path)!r} is named like a {candidate.split} split, but has no class folders. If it is "
                "a class, rename it; if it is a split, move its images into class folders"
                f"{suggest_label_from(candidate.entries.files)}."
            )
    return Layout(
        {"train": top},
        has_splits=False,
        # Competitions often publish test images without labels.
        left_out=tuple(LeftOut(candidate.path, _explain_beside(candidate)) for candidate in named),
        notes=tuple(f"{c.name!r} is used as a class, although its name contains the name of a split" for c in similar),
    )


def _rank(candidate: _Candidate) -> int:
    """Return the position of the candidate's split in the order train, val, test."""
    split = candidate.split or (candidate.similar[0] if candidate.similar else "test")
    return SPLITS.index(split)


def _explain_beside(candidate: _Candidate) -> str:
    return f"a {candidate.split} split without class folders" if candidate.split else "not train, val or test"
