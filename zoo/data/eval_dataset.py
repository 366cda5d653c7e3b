"""Labelled images to measure a finished run on: its classes govern, whatever classes and splits the data has."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from zoo.data.dataset import say_left_out
from zoo.data.examine import examine_files
from zoo.data.folder import Listing, list_labelled
from zoo.data.sample import Sample
from zoo.data.source import get_folder
from zoo.errors import DataError

if TYPE_CHECKING:
    from zoo.progress import Progress
    from zoo.registry.registry import Registry


def open_labelled(
    value: str | Path, split: str | None, *, classes: Sequence[str], registry: Registry, progress: Progress
) -> tuple[str, tuple[Sample, ...]]:
    """Find and examine the images of one split.

    Args:
        value: a folder, an archive, or the name of a data set.
        split: ``train``, ``val``, ``test`` or ``all``; None: ``test``, else ``val``, else all there are.
        classes: the names of the run's classes; the position is the label.
        registry: where names of data sets are looked up.
        progress: told what is left out.

    Returns:
        The split that was chosen, and its samples.

    Raises:
        DataError: there is no such split, no readable image in it, or it has a class that the run does not know.
    """
    listing = list_labelled(get_folder(value, registry=registry, progress=progress))
    chosen = _choose_split(listing, split, value)
    if chosen == "all" and split is None:
        progress.say(f"note: {value} has no splits: all images count, also those that a run has learnt from")
    files = [file for file in listing.files if chosen in ("all", file.split)]
    labels = {name: label for label, name in enumerate(classes)}
    unknown = sorted({file.class_name for file in files} - labels.keys())
    if unknown:
        raise DataError(f"the run does not know {', '.join(map(repr, unknown[:5]))}; it knows {', '.join(classes)}.")
    good, bad = examine_files(files, progress=progress)
    say_left_out(bad, progress)
    if not good:
        raise DataError(f"{str(value)!r} has no image in {chosen} that can be read.")
    return chosen, tuple(Sample(item.file.path, labels[item.file.class_name], item.digest) for item in good)


def _choose_split(listing: Listing, split: str | None, value: str | Path) -> str:
    if split is None:
        return next((name for name in ("test", "val") if name in listing.splits), "all")
    if split == "all" or (not listing.is_flat and split in listing.splits):
        return split
    there = ", ".join(listing.splits) if not listing.is_flat else "no splits"
    raise DataError(f"{str(value)!r} has no split {split!r}; it has {there}. `split` all takes every image.")
