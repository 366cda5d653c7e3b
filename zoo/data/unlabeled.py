"""List the images that a finished run predicts. They need no labels."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo.data.listing import ImageFile, LeftOut, Listing
from zoo.data.memory_images import MemoryImage, build_memory_image, is_memory_image
from zoo.data.path_patterns import expand_path_pattern, find_base, is_path_pattern
from zoo.data.source import is_image, list_images, name_source
from zoo.data.sources.entries import IMAGE_SUFFIXES, is_link
from zoo.data.sources.folder_tables import has_table
from zoo.data.sources.kinds import OTHER
from zoo.data.sources.prefixed import find_prefixed
from zoo.data.true_labels import LabelRule
from zoo.data.web_images import WebImage, hide_password, is_web_image
from zoo.errors import DataError, NameNotFound, OptionError
from zoo.files.paths import expand_user

if TYPE_CHECKING:
    from zoo.progress import Progress
    from zoo.registry.data_options import DataOptions
    from zoo.registry.registry import Registry

#: An image, or a file that is left out.
Unlabeled = ImageFile | MemoryImage | WebImage | LeftOut


def list_unlabeled(  # noqa: PLR0913  # all but two arguments are keywords
    value: Any, options: DataOptions, *, registry: Registry, progress: Progress, labels: LabelRule | None = None,
    fetch: bool | None = None,
) -> list[Unlabeled]:  # fmt: skip
    """List the images of one or several data sources, and the files that are left out.

    Args:
        value: An image, in a file or in memory; a pattern of paths such as ``photos/**/*.jpg``; any data source of
            `zoo.data.source`; or a list of these. A list of (path, label) is a source.
        options: How to find the images; only the names of the image column and, with labels, of the label column have
            an effect.
        registry: Where to look up the names of data sets.
        progress: Where to report progress.
        labels: How to find labels. None means that labels are neither needed nor read.
        fetch: Whether URLs of images may be fetched; None if the caller has no such option.

    Returns:
        The images and the files that are left out, in the order of the sources. Among several sources, a path that does
        not exist is left out.

    Raises:
        DataError: If a source is the only one and does not exist, contains no images, or cannot be read.
        NameNotFound: If there is no data set of that name.
        OptionError: If an option does not apply to a source.
    """
    roles = {"image"} if labels is None else {"image", "label"}
    if others := sorted(options.columns.keys() - roles):
        wanted = " and ".join(sorted(roles))
        raise OptionError(f"`columns`: predictions need only the column for {wanted}; leave out {', '.join(others)}.")
    sources = _split_sources(value)
    lister = _Lister(options, registry, progress, labels, fetch=fetch, is_only=len(sources) == 1)
    return [row for number, source in enumerate(sources) for row in lister.list(source, number)]


def _split_sources(value: Any) -> list[Any]:
    is_one = isinstance(value, (str, PathLike, Mapping)) or not isinstance(value, Iterable) or is_memory_image(value)
    if is_one or (hasattr(value, "__getitem__") and not isinstance(value, (list, tuple))):
        return [value]
    several = list(value)
    return [several] if several and isinstance(several[0], (list, tuple)) else several


@dataclass(frozen=True)
class _Lister:
    """How each of several sources is listed."""

    options: DataOptions
    registry: Registry
    progress: Progress
    labels: LabelRule | None
    fetch: bool | None
    #: Whether there is only one source.
    is_only: bool

    def list(self, source: Any, number: int) -> tuple[Unlabeled, ...]:
        if is_memory_image(source):
            return (build_memory_image(source, number, self.options.channels),)
        if not isinstance(source, (str, PathLike)):
            return self._list_data(source)
        if self.fetch is not None and is_web_image(source, is_certain=not self.fetch):
            return self._list_web(str(source))
        return self._list_any_path(source)

    def _list_any_path(self, source: str | PathLike[str]) -> tuple[Unlabeled, ...]:
        path = expand_user(source)
        if reason := _find_special(path):
            return (LeftOut(path, reason),)
        try:
            if is_path_pattern(path) and "://" not in str(source) and not find_prefixed(str(source), self.registry):
                return self._list_pattern(path)
            return self._list_path(source, path)
        except (DataError, NameNotFound):
            if self.is_only or os.path.lexists(path) or "://" in str(source):
                raise
            reason = "no file matches the pattern" if is_path_pattern(path) else "there is no such file or data set"
            return (LeftOut(path, reason),)

    def _list_web(self, url: str) -> tuple[Unlabeled, ...]:
        if not self.fetch:
            raise DataError(
                f"{hide_password(url)!r} is the URL of an image; add `fetch` to fetch it, or download it yourself."
            )
        return (WebImage(url),)

    def _list_pattern(self, pattern: Path) -> tuple[Unlabeled, ...]:
        matches = expand_path_pattern(pattern)
        if not matches:
            raise DataError(f"no file matches the pattern {str(pattern)!r}.")
        base = find_base(pattern)
        return tuple(row for path in matches for row in self._list_path(path, path, base))

    def _list_path(self, source: str | PathLike[str], path: Path, base: Path | None = None) -> tuple[Unlabeled, ...]:
        if reason := _find_special(path):
            return (LeftOut(path, reason),)
        if self.labels is None or not os.path.lexists(path) or not (is_image(path) or _is_plain_folder(path)):
            return self._list_data(source)
        listing = self._list(source, needs_labels=False)
        if listing.kind != OTHER:  # It is a table or consists of shards.
            return self._list_data(source)
        top = base or (path if path.is_dir() else None)
        rows = self._check(listing, source)
        return tuple(self.labels.label(row, top) if isinstance(row, ImageFile) else row for row in rows)

    def _list_data(self, source: Any) -> tuple[ImageFile | LeftOut, ...]:
        if self.labels is None:
            return self._check(self._list(source, needs_labels=False), source)
        try:
            return self._check(self._list(source, needs_labels=True), source)
        except DataError as error:
            if self.labels.is_required:
                raise
            self.progress.say(f"note: the images have no labels: {error}")
            return self._check(self._list(source, needs_labels=False), source)

    def _list(self, source: Any, *, needs_labels: bool) -> Listing:
        options = replace(self.options, needs_labels=needs_labels)
        return list_images(source, options, registry=self.registry, progress=self.progress)

    def _check(self, listing: Listing, source: Any) -> tuple[ImageFile | LeftOut, ...]:
        for note in listing.notes:
            self.progress.say(f"note: {note}")
        if not listing.files:
            raise DataError(f"no images in {name_source(source)}; zoo reads {' '.join(IMAGE_SUFFIXES)}.")
        return (*listing.files, *listing.left_out) if listing.rows is None else listing.rows


def _is_plain_folder(path: Path) -> bool:
    return path.is_dir() and not has_table(path)


def _find_special(path: Path) -> str | None:
    """Return why a path is neither a file nor a folder. A pattern such as `photos/*` matches these, too."""
    try:
        if is_link(path) and not path.exists():
            return "a link whose target does not exist"
        return "not a regular file" if path.exists() and not (path.is_dir() or path.is_file()) else None
    except (OSError, ValueError):  # Looking it up reports the reason.
        return None
