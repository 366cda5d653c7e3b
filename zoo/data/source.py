"""Find the images of a ``--data`` value: a folder, an archive, or the name of a data set to fetch or generate."""

from __future__ import annotations

import difflib
import hashlib
import inspect
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from zoo.data.archive import ARCHIVE_SUFFIXES, extract_archive, is_archive_name
from zoo.data.folder import list_labeled
from zoo.errors import DataError, NameNotFound, PluginError
from zoo.files.atomic import FULL, whole
from zoo.files.cache import cache_folder, writing_cache
from zoo.files.download import fetch, sha256_of
from zoo.files.paths import accessing, expand_user
from zoo.plugin.dataset_spec import DATASET_NAME
from zoo.registry.plugins.isolation import naming_place

if TYPE_CHECKING:
    from zoo.data.listing import Listing
    from zoo.plugin import DatasetSpec
    from zoo.progress import Progress
    from zoo.registry.registry import Registry

_WANTED = "a folder of images, a .zip or .tar archive of one, or the name of a data set"


def list_images(value: str | Path, *, registry: Registry, progress: Progress) -> Listing:
    """List the images that ``value`` refers to, by split and class.

    Raises:
        DataError: If the path does not exist, or is not a folder or archive of images.
        DownloadError: If a named data set cannot be fetched.
        NameNotFound: If there is no data set of that name.
    """
    return list_labeled(get_folder(value, registry=registry, progress=progress))


def get_folder(value: str | Path, *, registry: Registry, progress: Progress) -> Path:
    """Return the folder of images that ``value`` refers to.

    A folder takes precedence over a local archive, and an archive over the name of a data set. Unpacked archives and
    data sets are kept under ``cache_folder()/data`` and used again the next time.

    Raises:
        DataError: If the path does not exist, or is neither a folder nor an archive.
        DownloadError: If a named data set cannot be fetched.
        NameNotFound: If there is no data set of that name.
    """
    source = look_up(value, registry=registry)
    if isinstance(source, Path):
        return source if source.is_dir() else _unpack(source, progress)
    if path := registry.find_definition(source):
        digest = f"sha256 {source.sha256}" if source.sha256 else "without a sha256"
        progress.say(f"note: {source.name} is defined in {path}: {source.url}, {digest}")
    folder = _generate(source.name, source.make) if source.make else _fetch(source, progress)
    if not (folder / source.root).is_dir():
        raise DataError(
            f"the data set {source.name!r} has no folder {source.root!r}, which its spec declares as `root`."
        )
    return folder / source.root


def look_up(value: str | Path, *, registry: Registry) -> Path | DatasetSpec:
    """Return the folder, archive or data set that ``value`` refers to, without fetching or opening it.

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
    if os.path.lexists(path):
        raise DataError(f"cannot use {str(value)!r}: it is neither a file nor a folder; pass {_WANTED}.")
    return _find_dataset(value, registry)


def _find_dataset(value: str | Path, registry: Registry) -> DatasetSpec:
    if isinstance(value, Path) or not DATASET_NAME.fullmatch(value) or is_archive_name(value):
        raise DataError(_explain_missing(value))
    try:
        return registry.get_dataset(value)
    except NameNotFound as error:
        if "/" in value:
            raise DataError(f"there is no folder or archive {value!r}, and {error}") from error
        similar = _list_similar(Path(value))
        hint = f" Similar names in the working directory: {', '.join(similar)}." if similar else ""
        raise NameNotFound(f"{error}{hint}") from error


def _unpack(archive: Path, progress: Progress) -> Path:
    if not is_archive_name(archive.name):
        known = ", ".join(ARCHIVE_SUFFIXES)
        raise DataError(
            f"cannot use {str(archive)!r}: it is a file, but its name does not end with one of {known}; pass {_WANTED}."
        )
    with accessing(archive, DataError, "pass an archive that can be read"):
        digest = sha256_of(archive)
    folder = _cached(digest)
    if not folder.is_dir():
        progress.say(f"unpacking {archive}")
        with writing_cache(folder.parent), whole(folder) as partial:
            extract_archive(archive, partial)
    return folder


def _fetch(spec: DatasetSpec, progress: Progress) -> Path:
    url = spec.url or ""
    key = spec.sha256 or _digest(url)
    folder = _cached(key)
    if not folder.is_dir():
        name = Path(urlsplit(url).path).name
        archive = fetch(url, folder.with_name(f"{key}-{name}"), sha256=spec.sha256, size=spec.size, progress=progress)
        progress.say(f"unpacking {name}")
        with writing_cache(folder.parent), whole(folder) as partial:
            extract_archive(archive, partial)
        archive.unlink(missing_ok=True)  # Another process may already have removed it.
    return folder


def _generate(name: str, make: Callable[[Path], None]) -> Path:
    folder = _cached(_digest(name, _code_of(make)))
    if folder.is_dir():
        return folder
    with writing_cache(folder.parent), whole(folder) as partial:
        partial.mkdir(parents=True)
        try:
            make(partial)
        except Exception as error:
            if isinstance(error, OSError) and error.errno in FULL:
                raise  # The disk is at fault, not the plugin.
            with naming_place(f"the data set {name!r} cannot be generated"):
                raise
        if not any(partial.iterdir()):
            raise PluginError(f"the data set {name!r} cannot be generated: its `make` left the folder empty")
    return folder


def _cached(key: str) -> Path:
    return cache_folder() / "data" / key


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def _code_of(make: Callable[[Path], None]) -> str:
    """Return the code of all modules in the function's folder; if it changes, the data set may change, too."""
    try:
        file = inspect.getsourcefile(inspect.unwrap(make))
        return "".join(path.read_text("utf-8") for path in sorted(Path(file).parent.glob("*.py"))) if file else ""
    except (OSError, TypeError, ValueError):  # Without a source file, only the name identifies the data set.
        return ""


def _explain_missing(value: str | Path) -> str:
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
