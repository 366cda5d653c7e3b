"""List the images of shards: uncompressed .tar archives in the WebDataset format. They are not unpacked."""

from __future__ import annotations

import sys
import unicodedata
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from zoo.data.collector import pausing_collector
from zoo.data.listing import ImageFile, LeftOut, Listing, Span, show_names
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
    files: list[ImageFile] = []
    left_out: list[LeftOut] = []
    splits = divide_shards(shards)
    named = {folder: _read_classes(folder / CLASSES) for folder in {shard.parent for shard in shards}}
    with progress.track("indexing shards", len(shards)) as advance:
        for shard in shards:
            names = named[shard.parent]
            for name, offset, size, label in read_index(shard, options.columns.get("label")):
                if label is None:
                    left_out.append(LeftOut(shard / name, "no label"))
                    continue
                location = f"{shard.name}/{name}"
                class_name = sys.intern(_name_class(label, names, shard))
                span = Span(shard, offset, size)
                split = splits[shard] or "train"
                files.append(ImageFile(shard.parent, location, split, class_name, location, span=span))
            advance(1)
    if not files:
        raise DataError(
            f"the shards contain no images with labels, for example {str(shards[0])!r}; each image KEY.jpg needs a "
            "KEY.cls or a KEY.json with its label."
        )
    return Listing.of_files(files, left_out, LAYOUT, has_splits=None not in splits.values())


def _read_classes(path: Path) -> Sequence[str] | None:
    """Return the class names, or None if there is no such file.

    Raises:
        DataError: If the file cannot be read, or contains a name twice.
    """
    try:
        names = [line.strip() for line in path.read_text("utf-8-sig").rstrip().split("\n")]
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"cannot use {str(path)!r}: {getattr(error, 'strerror', None) or error}.") from error
    if repeated := sorted(name for name, count in Counter(names).items() if count > 1):
        raise DataError(f"{str(path)!r} contains names twice: {show_names(repeated)}.")
    return names


def _name_class(label: str, names: Sequence[str] | None, shard: Path) -> str:
    """Return the class name. If there is a list of names, a number is an index into it."""
    if names is not None and label.isascii() and label.isdecimal():
        if int(label) >= len(names):
            raise DataError(f"{str(shard)!r} has the label {label}, but {CLASSES} has only {len(names)} names.")
        label = names[int(label)]
    name = unicodedata.normalize("NFC", label)
    if not is_printable(name):
        raise DataError(f"{str(shard)!r} has the unprintable label {name!r}.")
    return name
