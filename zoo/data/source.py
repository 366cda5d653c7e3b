"""Find the images of a data source: a folder, a table, an archive, a URL, a name, or a Python object."""

from __future__ import annotations

import difflib
import os
import stat
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo.data.sources.archive import ARCHIVE_SUFFIXES, is_archive_name
from zoo.data.sources.cached import Located, fetch_archive, get_dataset, unpack
from zoo.data.sources.entries import find_unsupported
from zoo.data.sources.kinds import OTHER, TABLE, adopt, refuse_option
from zoo.data.sources.objects import describe_object, is_frame, list_object
from zoo.data.sources.path_source import list_image, list_path
from zoo.data.sources.plugin_source import fetch_images, get_folder
from zoo.data.sources.prefixed import Prefixed, find_prefixed, list_prefixed
from zoo.data.sources.shard_names import find_shards, is_pattern
from zoo.data.sources.table import list_rows
from zoo.data.sources.table_rows import TABLE_SUFFIXES, is_table_name
from zoo.data.sources.web_archive import WebArchive, is_web, parse_web
from zoo.data.sources.web_shards import fetch_shards, is_shard_url
from zoo.errors import DataError, NameNotFound
from zoo.files.paths import expand_user
from zoo.plugin.dataset_spec import DATASET_NAME, DatasetSpec

if TYPE_CHECKING:
    from zoo.data.listing import Listing
    from zoo.plugin import SourceSpec
    from zoo.progress import Progress
    from zoo.registry.data_options import DataOptions
    from zoo.registry.registry import Registry

_WANTED = "a folder of images, a .csv file that lists images, a .zip or .tar archive, or the name of a data set"


def name_source(value: Any) -> str:
    """Return the name of a data source: what the user passed, or a description of a Python object."""
    return str(value) if isinstance(value, (str, PathLike)) else describe_object(value)


def list_images(value: Any, options: DataOptions, *, registry: Registry, progress: Progress) -> Listing:
    """List the images of a data source, by split and class.

    Args:
        value: A folder, a table, an archive or its URL, the name of a data set, or a Python object; see
            `zoo.data.sources.objects`.
        options: How to find the images.
        registry: Where to look up the names of data sets.
        progress: Where to report progress.

    Unpacked archives and data sets are kept under ``cache_folder()/data`` and used again the next time.

    Raises:
        DataError: If the path does not exist, is of no supported kind, or its images cannot be listed.
        DownloadError: If an archive cannot be fetched.
        NameNotFound: If there is no data set of that name.
        OptionError: If an option does not apply to this kind of source.
    """
    if not isinstance(value, (str, PathLike)):
        refuse_option("label_from", options.label_from, "`data` is a Python object", "a folder")
        kind = TABLE if is_frame(value) else OTHER
        return replace(list_object(value, adopt(options, kind, progress), progress), kind=kind)
    found = look_up(value, registry=registry)
    if isinstance(found, DatasetSpec) and found.source:
        if path := registry.find_definition(found):
            progress.say(f"note: {found.name} is defined in {path}: {found.source}")
        return list_images(found.source, options, registry=registry, progress=progress)
    if isinstance(found, Prefixed) and found.spec:
        return _list_plugin_source(found.spec, found.name, options, registry=registry, progress=progress)
    if isinstance(found, Prefixed):
        refuse_option("label_from", options.label_from, f"{str(value)!r} already has labels", "a folder")
        if found.prefix == "torchvision":
            refuse_option("columns", options.columns, f"{str(value)!r} has no columns", "a table")
        return list_prefixed(found, options, progress)
    if isinstance(found, Path) and not options.needs_labels and is_image(found):
        return list_image(found, options)
    located = locate(found, registry=registry, progress=progress)
    return replace(list_path(value, located, options, progress), source=located.source)


def _list_plugin_source(
    spec: SourceSpec, name: str, options: DataOptions, *, registry: Registry, progress: Progress
) -> Listing:
    value = f"{spec.prefix}:{name}"
    result = fetch_images(spec, name)
    if isinstance(result, Path):
        listing = list_path(value, locate(result, registry=registry, progress=progress), options, progress)
    else:
        refuse_option("label_from", options.label_from, f"{value!r} already has labels", "a folder")
        refuse_option("columns", options.columns, f"{value!r} has no columns", "a table")
        listing = list_rows(iter(result), get_folder(spec, name), options, origin=value, split=None)
    return replace(listing, source={"name": value})


def is_image(path: Path) -> bool:
    """Return whether a path is a file that is neither a table nor an archive, judged by its name."""
    return path.is_file() and not is_table_name(path.name) and not is_archive_name(path.name)


def locate(source: Path | WebArchive | DatasetSpec, *, registry: Registry, progress: Progress) -> Located:
    """Return the folder or table of a source, after fetching or unpacking it if necessary.

    Raises:
        DataError: If a file is of no supported kind, or cannot be unpacked.
        DownloadError: If an archive cannot be fetched.
    """
    if isinstance(source, Path):
        if source.is_dir() or is_table_name(source.name) or is_pattern(source):
            return Located(source)
        if is_archive_name(source.name):
            return Located(unpack(source, progress))
        raise DataError(
            f"cannot use {str(source)!r}: it is a file, but its name does not end with one of "
            f"{', '.join((*TABLE_SUFFIXES, *ARCHIVE_SUFFIXES))}; pass {_WANTED}."
        )
    if isinstance(source, WebArchive):
        located = _fetch_web(source, progress)
        if source.sha256 is None and located.source:
            pinned = f"{source.url}#sha256={located.source['sha256']}"
            progress.say(f"note: the URL has no sha256; to accept only these files, pass {pinned}")
        return located
    if path := registry.find_definition(source):
        digest = f"sha256 {source.sha256}" if source.sha256 else "without a sha256"
        progress.say(f"note: {source.name} is defined in {path}: {source.url}, {digest}")
    return get_dataset(source, progress)


def _fetch_web(source: WebArchive, progress: Progress) -> Located:
    if not is_shard_url(source.url):
        return fetch_archive(source.url, source.sha256, progress)
    folder, digest = fetch_shards(source.url, source.sha256, progress)
    return Located(folder, {"url": source.url, "sha256": digest})


def look_up(value: str | PathLike[str], *, registry: Registry) -> Path | WebArchive | Prefixed | DatasetSpec:
    """Return what ``value`` refers to, without fetching or opening it.

    A path that exists takes precedence over a source with a prefix, and over the name of a data set.

    Raises:
        DataError: If the path does not exist, or is neither a folder nor a file, or a URL does not point to an archive.
        NameNotFound: If there is no data set of that name.
    """
    if not str(value):
        raise DataError(f"`data` is empty; pass {_WANTED}.")
    if isinstance(value, str) and is_web(value):
        return parse_web(value)
    path = expand_user(value)
    try:
        mode = path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        mode = 0
    except (OSError, ValueError) as error:  # a ValueError for a NUL
        reason = getattr(error, "strerror", None) or error
        raise DataError(f"cannot use {str(value)!r}: {reason}; pass {_WANTED}.") from error
    if stat.S_ISDIR(mode) or stat.S_ISREG(mode):
        return path
    if is_pattern(path) and find_shards(path):
        return path
    if os.path.lexists(path):
        raise DataError(f"cannot use {str(value)!r}: it is neither a file nor a folder; pass {_WANTED}.")
    if isinstance(value, str) and (found := find_prefixed(value, registry)):
        return found
    dataset = _find_dataset(value, registry)
    if dataset.source:
        find_prefixed(dataset.source, registry)  # so that a missing package is reported immediately
    return dataset


def _find_dataset(value: str | PathLike[str], registry: Registry) -> DatasetSpec:
    if not isinstance(value, str) or not DATASET_NAME.fullmatch(value) or is_archive_name(value):
        raise DataError(_explain_missing(value))
    try:
        return registry.get_dataset(value)
    except NameNotFound as error:
        if find_unsupported(value) is None or is_table_name(value):
            raise DataError(_explain_missing(value)) from error
        if "/" in value:
            raise DataError(f"there is no folder, table or archive {value!r}, and {error}") from error
        similar = _list_similar(Path(value))
        hint = f" Similar names in the working directory: {', '.join(similar)}." if similar else ""
        raise NameNotFound(f"{error}{hint}") from error


def _explain_missing(value: str | PathLike[str]) -> str:
    if "://" in str(value):
        return f"cannot use {str(value)!r}: zoo fetches only https and http; download it yourself and pass the file."
    similar = _list_similar(expand_user(value))
    hint = f"similar names: {', '.join(similar)}" if similar else f"pass {_WANTED}"
    return f"{str(value)!r} does not exist; {hint}."


def _list_similar(path: Path) -> list[str]:
    """Return the paths in the same folder whose names are similar, quoted."""
    try:
        names = [sibling.name for sibling in path.parent.iterdir()]
    except OSError:
        return []
    return [repr(str(path.parent / name)) for name in difflib.get_close_matches(path.name, names, n=3)]
