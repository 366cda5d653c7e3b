"""Find the images of a data source: a folder, a table, an archive, the name of a data set, or a Python object."""

from __future__ import annotations

import difflib
import os
import stat
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo.data.sources.archive import ARCHIVE_SUFFIXES, is_archive_name
from zoo.data.sources.cached import get_dataset_root, unpack
from zoo.data.sources.flat_folder import list_flat_folder
from zoo.data.sources.folder import list_folder
from zoo.data.sources.folder_tables import list_folder_tables
from zoo.data.sources.objects import describe_object, list_object
from zoo.data.sources.shard_names import find_shards, is_pattern
from zoo.data.sources.shards import list_shards
from zoo.data.sources.table import list_table
from zoo.data.sources.table_rows import TABLE_SUFFIXES, is_table_name
from zoo.errors import DataError, NameNotFound, OptionError
from zoo.files.paths import expand_user
from zoo.plugin.dataset_spec import DATASET_NAME

if TYPE_CHECKING:
    from zoo.data.listing import Listing
    from zoo.plugin import DatasetSpec
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
        value: A folder, a table, an archive, the name of a data set, or a Python object; see
            `zoo.data.sources.objects`.
        options: How to find the images.
        registry: Where to look up the names of data sets.
        progress: Where to report progress.

    Unpacked archives and data sets are kept under ``cache_folder()/data`` and used again the next time.

    Raises:
        DataError: If the path does not exist, is of no supported kind, or its images cannot be listed.
        DownloadError: If a named data set cannot be fetched.
        NameNotFound: If there is no data set of that name.
        OptionError: If an option does not apply to this kind of source.
    """
    if not isinstance(value, (str, PathLike)):
        _refuse_option("label_from", options.label_from, "`data` is a Python object", "a folder")
        return list_object(value, options, progress)
    path = get_path(value, registry=registry, progress=progress)
    if path.is_file():
        _refuse_option("label_from", options.label_from, f"{str(value)!r} is a table", "a folder")
        return list_table(path, options, is_own=isinstance(look_up(value, registry=registry), Path))
    if shards := find_shards(path):
        _refuse_option("label_from", options.label_from, f"{str(value)!r} consists of shards", "a folder of images")
        return list_shards(shards, options, progress)
    if options.label_from:
        _refuse_option("columns", options.columns, "`label_from` is set, too", "a table")
        return list_flat_folder(path, options.label_from)
    if listing := list_folder_tables(path, options):
        return listing
    _refuse_option("columns", options.columns, f"{str(value)!r} is a folder", "a table")
    return list_folder(path)


def _refuse_option(name: str, value: object, found: str, wanted: str) -> None:
    if value:
        raise OptionError(f"`{name}` applies only to {wanted}, but {found}.")


def get_path(value: str | PathLike[str], *, registry: Registry, progress: Progress) -> Path:
    """Return the folder or table that ``value`` refers to, after fetching or unpacking it if necessary.

    A folder takes precedence over a local file, and a file over the name of a data set.

    Raises:
        DataError: If the path does not exist, or is of no supported kind.
        DownloadError: If a named data set cannot be fetched.
        NameNotFound: If there is no data set of that name.
    """
    source = look_up(value, registry=registry)
    if isinstance(source, Path):
        if source.is_dir() or is_table_name(source.name) or is_pattern(source):
            return source
        if is_archive_name(source.name):
            return unpack(source, progress)
        raise DataError(
            f"cannot use {str(source)!r}: it is a file, but its name does not end with one of "
            f"{', '.join((*TABLE_SUFFIXES, *ARCHIVE_SUFFIXES))}; pass {_WANTED}."
        )
    if path := registry.find_definition(source):
        digest = f"sha256 {source.sha256}" if source.sha256 else "without a sha256"
        progress.say(f"note: {source.name} is defined in {path}: {source.url}, {digest}")
    return get_dataset_root(source, progress)


def look_up(value: str | PathLike[str], *, registry: Registry) -> Path | DatasetSpec:
    """Return the path or data set that ``value`` refers to, without fetching or opening it.

    Raises:
        DataError: If the path does not exist, or is neither a folder nor a file.
        NameNotFound: If there is no data set of that name.
    """
    if not str(value):
        raise DataError(f"`data` is empty; pass {_WANTED}.")
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
    return _find_dataset(value, registry)


def _find_dataset(value: str | PathLike[str], registry: Registry) -> DatasetSpec:
    if not isinstance(value, str) or not DATASET_NAME.fullmatch(value) or is_archive_name(value):
        raise DataError(_explain_missing(value))
    try:
        return registry.get_dataset(value)
    except NameNotFound as error:
        if "/" in value:
            raise DataError(f"there is no folder or archive {value!r}, and {error}") from error
        similar = _list_similar(Path(value))
        hint = f" Similar names in the working directory: {', '.join(similar)}." if similar else ""
        raise NameNotFound(f"{error}{hint}") from error


def _explain_missing(value: str | PathLike[str]) -> str:
    if "://" in str(value):
        return f"cannot use {str(value)!r}: download it yourself and pass the archive or folder."
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
