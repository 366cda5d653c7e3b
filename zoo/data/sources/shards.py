"""List the images of shards: uncompressed .tar archives in the WebDataset format. They are not unpacked."""

from __future__ import annotations

import sys
import unicodedata
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from zoo.data.collector import pausing_collector
from zoo.data.listing import ImageFile, LeftOut, Listing, Span
from zoo.data.sources.class_names import check_names, note_missing_labels
from zoo.data.sources.shard_index import read_index
from zoo.data.sources.shard_names import divide_shards
from zoo.errors import DataError, OptionError
from zoo.progress.printable import is_printable

if TYPE_CHECKING:
    from zoo.progress import Progress
    from zoo.registry.data_options import DataOptions

#: File beside the shards with one class name per line.
CLASSES = "classes.txt"
LAYOUT = "shards need names such as train-000.tar and val-000.tar, or no names of splits at all"


@pausing_collector()
def list_shards(shards: Sequence[Path], options: DataOptions, progress: Progress) -> Listing:
    """List the images of shards.

    Args:
        shards: Uncompressed .tar archives.
        options: ``columns`` names the field of the JSON files that contains the class.
        progress: Where to report progress.

    Raises:
        DataError: If a shard cannot be read, no image has a label, or the shards contradict each other.
        OptionError: If ``columns`` names something other than the label.
    """
    if others := sorted(options.columns.keys() - {"label"}):
        raise OptionError(f"`columns` for shards applies only to label, not to {', '.join(others)}.")
    if not options.needs_labels:
        return _list_unlabeled(shards, progress)
    files: list[ImageFile] = []
    left_out: list[LeftOut] = []
    splits = divide_shards(shards)
    named = {folder: _read_classes(folder / CLASSES) for folder in {shard.parent for shard in shards}}
    with progress.track("indexing shards", len(shards)) as advance:
        for shard in shards:
            names = named[shard.parent]
            entries, state = read_index(shard, options.columns.get("label"))
            for name, offset, size, label in entries:
                class_name = None if label is None else _name_class(label, names, shard)
                if class_name is None:
                    left_out.append(LeftOut(shard / name, _explain(name), splits[shard]))
                    continue
                location = f"{shard.name}/{name}"
                span = Span(shard, offset, size, state)
                split = splits[shard] or "train"
                files.append(ImageFile(shard.parent, location, split, sys.intern(class_name), location, span=span))
            advance(1)
    if not files:
        raise DataError(
            f"the shards contain no images with labels, for example {str(shards[0])!r}; each image KEY.jpg needs a "
            "KEY.cls or a KEY.json with its label, and KEY contains no period."
        )
    notes = tuple(note_missing_labels(file.class_name for file in files))
    return Listing.of_files(files, left_out, LAYOUT, has_splits=None not in splits.values(), notes=notes)


def _list_unlabeled(shards: Sequence[Path], progress: Progress) -> Listing:
    """List all images of shards in the order of the shards, with or without a label."""
    files: list[ImageFile] = []
    with progress.track("indexing shards", len(shards)) as advance:
        for shard in shards:
            entries, state = read_index(shard, "")
            for name, offset, size, _ in entries:
                location = f"{shard.name}/{name}"
                span = Span(shard, offset, size, state)
                files.append(ImageFile(shard.parent, location, "test", "", location, span=span))
            advance(1)
    return Listing.unlabeled(files)


def _read_classes(path: Path) -> Mapping[str, str] | None:
    """Return the class name that each name and each number stands for, or None if there is no such file.

    Raises:
        DataError: If the file cannot be read, or contains an empty line or a name twice.
    """
    try:
        lines = path.read_text("utf-8-sig").rstrip().split("\n")
        names = [unicodedata.normalize("NFC", line.strip()) for line in lines]
        check_names(names)
    except FileNotFoundError:
        return None
    except (DataError, OSError, UnicodeDecodeError) as error:
        raise DataError(f"cannot use {str(path)!r}: {getattr(error, 'strerror', None) or error}.") from error
    return {**{name: name for name in names}, **{str(number): name for number, name in enumerate(names)}}


def _name_class(label: str, names: Mapping[str, str] | None, shard: Path) -> str | None:
    """Return the class name; None if there is a list of names and the label is -1, which means that there is none."""
    name = unicodedata.normalize("NFC", label)
    if not is_printable(name):
        raise DataError(f"{str(shard)!r} has the unprintable label {name!r}.")
    if names is None:
        return name
    if name == "-1":
        return None
    key = (name.lstrip("0") or "0") if name.isascii() and name.isdecimal() else name
    if key not in names:
        raise DataError(
            f"{str(shard)!r} has the label {name[:80]!r}, which is neither a name in {CLASSES} nor the number of one; "
            "numbers start at 0."
        )
    return names[key]


def _explain(name: str) -> str:
    """Return why an image in a shard is not used."""
    file = name.rpartition("/")[2]
    if file.count(".") < 2:
        return "no label"
    return f"its key {file.partition('.')[0]!r} ends at the first period of its name; use a name with only one period"
