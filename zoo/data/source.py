"""A ``--data`` value becomes a folder on this machine: it is one, is unpacked, is fetched, or is drawn."""

from __future__ import annotations

import difflib
import hashlib
import inspect
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from zoo.data.archive import ARCHIVE_SUFFIXES, extract_archive, is_archive_name
from zoo.errors import DataError, NameNotFound, PluginError
from zoo.files.atomic import whole
from zoo.files.cache import cache_folder
from zoo.files.download import fetch, sha256_of
from zoo.plugin.dataset_spec import DATASET_NAME

if TYPE_CHECKING:
    from zoo.plugin import DatasetSpec
    from zoo.progress import Progress
    from zoo.registry.registry import Registry

_WANTED = "a folder of images, a .zip or .tar archive of one, or the name of a data set"


def get_folder(value: str | Path, *, registry: Registry, progress: Progress) -> Path:
    """Return the folder that ``value`` means: a folder, a local archive, or a data set's name, in this order.

    What is unpacked, fetched or drawn lies under ``cache_folder()/data`` and is found there the next time.

    Raises:
        DataError: there is no such path, or it is neither a folder nor an archive.
        DownloadError: a named data set could not be fetched.
        NameNotFound: there is no data set of that name.
    """
    found = look_up(value, registry=registry)
    if isinstance(found, Path):
        return found if found.is_dir() else _unpack(found, progress)
    folder = (_draw(found) if found.make else _fetch(found, progress)) / found.root
    if not folder.is_dir():
        raise DataError(
            f"the data set {found.name!r} has no folder {found.root!r}, which its description names as root."
        )
    return folder


def look_up(value: str | Path, *, registry: Registry) -> Path | DatasetSpec:
    """Return the folder, the archive or the data set that ``value`` means; nothing is fetched or opened.

    Raises:
        DataError: there is no such path, or it is neither a folder nor an archive.
        NameNotFound: there is no data set of that name.
    """
    if not str(value):
        raise DataError(f"no data is given; give {_WANTED}.")
    path = Path(value).expanduser()
    if path.is_dir() or path.is_file():
        return path
    if os.path.lexists(path):
        raise DataError(f"cannot use {str(value)!r}: it is neither a file nor a folder; give {_WANTED}.")
    return _find_dataset(value, registry)


def _find_dataset(value: str | Path, registry: Registry) -> DatasetSpec:
    if isinstance(value, Path) or not DATASET_NAME.fullmatch(value) or is_archive_name(value):
        raise DataError(_explain_missing(value))
    try:
        return registry.get_dataset(value)
    except NameNotFound as error:
        if "/" in value:
            raise DataError(f"there is no folder or archive {value!r}, and {error}") from error
        near = _list_near(Path(value))
        raise NameNotFound(f"{error} Near it in this folder: {', '.join(near)}." if near else str(error)) from error


def _unpack(archive: Path, progress: Progress) -> Path:
    if not is_archive_name(archive.name):
        known = ", ".join(ARCHIVE_SUFFIXES)
        raise DataError(f"cannot use {str(archive)!r}: it is a file, but none of {known}; give {_WANTED}.")
    folder = _cached(sha256_of(archive))
    if not folder.is_dir():
        progress.say(f"unpacking {archive}")
        with whole(folder) as own:
            extract_archive(archive, own)
    return folder


def _fetch(spec: DatasetSpec, progress: Progress) -> Path:
    url = spec.url or ""
    key = spec.sha256 or _digest(url)
    folder = _cached(key)
    if not folder.is_dir():
        name = Path(urlsplit(url).path).name
        archive = fetch(url, folder.with_name(f"{key}-{name}"), sha256=spec.sha256, size=spec.size, progress=progress)
        progress.say(f"unpacking {name}")
        with whole(folder) as own:
            extract_archive(archive, own)
        archive.unlink(missing_ok=True)  # it is in the folder now; another process may have removed it
    return folder


def _draw(spec: DatasetSpec) -> Path:
    make = spec.make
    assert make is not None
    folder = _cached(_digest(spec.name, _code_of(make)))

    if folder.is_dir():
        return folder
    with whole(folder) as own:
        own.mkdir(parents=True)
        try:
            make(own)
        except Exception as error:
            raise PluginError(f"the data set {spec.name!r} cannot be drawn: {type(error).__name__}: {error}") from error
        if not any(own.iterdir()):
            raise PluginError(f"the data set {spec.name!r} cannot be drawn: its make fills the folder with nothing")
    return folder


def _cached(key: str) -> Path:
    return cache_folder() / "data" / key


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def _code_of(make: Callable[[Path], None]) -> str:
    """Return what changes when a plugin's new version may draw other images: the code in the function's folder."""
    try:
        file = inspect.getsourcefile(inspect.unwrap(make))
        return "".join(path.read_text("utf-8") for path in sorted(Path(file).parent.glob("*.py"))) if file else ""
    except (OSError, TypeError, ValueError):  # a partial, or no file: then the name alone
        return ""


def _explain_missing(value: str | Path) -> str:
    if "://" in str(value):
        return f"cannot use {str(value)!r}: fetch it yourself and give the archive or the folder."
    near = _list_near(Path(value).expanduser())
    hint = f"near it: {', '.join(near)}" if near else f"give {_WANTED}"
    return f"there is no {str(value)!r}; {hint}."


def _list_near(path: Path) -> list[str]:
    """List the names like ``path`` where it would lie, or the folder in which it goes wrong."""
    parent = path.parent
    with suppress(OSError):
        names = [entry.name for entry in os.scandir(parent)]
        return [repr(str(parent / name)) for name in difflib.get_close_matches(path.name, names, n=3)]
    return []
