"""List the images that a finished run predicts. They need no labels."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo.data.listing import ImageFile, LeftOut
from zoo.data.source import list_images, name_source
from zoo.data.sources.entries import IMAGE_SUFFIXES, is_link
from zoo.errors import DataError, OptionError
from zoo.files.paths import expand_user

if TYPE_CHECKING:
    from zoo.progress import Progress
    from zoo.registry.data_options import DataOptions
    from zoo.registry.registry import Registry


def list_unlabeled(
    value: Any, options: DataOptions, *, registry: Registry, progress: Progress
) -> list[ImageFile | LeftOut]:
    """List the images of one or several data sources, and the files that are left out.

    Args:
        value: An image, any data source of `zoo.data.source`, or a list of these. A list of (path, label) is a source.
        options: How to find the images; only the name of the image column has an effect.
        registry: Where to look up the names of data sets.
        progress: Where to report progress.

    Returns:
        The images and the files that are left out, in the order of the sources.

    Raises:
        DataError: If a source does not exist, contains no images, or cannot be read.
        NameNotFound: If there is no data set of that name.
        OptionError: If an option does not apply to a source.
    """
    if others := sorted(options.columns.keys() - {"image"}):
        raise OptionError(f"`columns`: predictions need only the column for image; leave out {', '.join(others)}.")
    unlabeled = replace(options, needs_labels=False)
    return [
        row
        for source in _split_sources(value)
        for row in _list_source(source, unlabeled, registry=registry, progress=progress)
    ]


def _split_sources(value: Any) -> list[Any]:
    is_one = isinstance(value, (str, PathLike, Mapping)) or not isinstance(value, Iterable)
    if is_one or (hasattr(value, "__getitem__") and not isinstance(value, (list, tuple))):
        return [value]
    several = list(value)
    return [several] if several and isinstance(several[0], (list, tuple)) else several


def _list_source(
    source: Any, options: DataOptions, *, registry: Registry, progress: Progress
) -> tuple[ImageFile | LeftOut, ...]:
    if isinstance(source, (str, PathLike)) and (reason := _find_special(path := expand_user(source))):
        return (LeftOut(path, reason),)
    listing = list_images(source, options, registry=registry, progress=progress)
    for note in listing.notes:
        progress.say(f"note: {note}")
    if not listing.files:
        raise DataError(f"no images in {name_source(source)}; zoo reads {' '.join(IMAGE_SUFFIXES)}.")
    return listing.rows or ()


def _find_special(path: Path) -> str | None:
    """Return why a path is neither a file nor a folder. A pattern such as `photos/*` matches these, too."""
    try:
        if is_link(path) and not path.exists():
            return "a link whose target does not exist"
        return "not a regular file" if path.exists() and not (path.is_dir() or path.is_file()) else None
    except (OSError, ValueError):  # Looking it up reports the reason.
        return None
