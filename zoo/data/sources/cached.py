"""Unpack archives, and fetch or generate named data sets, into the cache folder."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from zoo.data.sources.archive import extract_archive
from zoo.data.sources.table_rows import is_table_name
from zoo.errors import DataError, PluginError
from zoo.files.atomic import FULL, atomic_write
from zoo.files.cache import cache_folder, writing_cache
from zoo.files.download import fetch, sha256_of
from zoo.files.leftovers import remove_leftovers
from zoo.files.paths import accessing
from zoo.files.urls import cache_name, file_name
from zoo.registry.plugins.isolation import naming_place

if TYPE_CHECKING:
    from zoo.plugin import DatasetSpec
    from zoo.progress import Progress


#: Version of the rules for unpacking an archive. Increase it when the rules change. Folders that older rules accepted
#: are then not used any longer.
RULES = 2


@dataclass(frozen=True, slots=True)
class Located:
    """Images on the local disk, and where they come from."""

    #: A folder or a table.
    path: Path
    #: Where the images were downloaded from; None for the user's own files.
    source: Mapping[str, str | None] | None = None


def get_dataset(spec: DatasetSpec, progress: Progress) -> Located:
    """Return the folder or table of a named data set. It is fetched or generated the first time.

    Raises:
        DataError: If the archive cannot be unpacked, or lacks the folder that the spec names.
        DownloadError: If the archive cannot be fetched.
        PluginError: If the images cannot be generated.
    """
    if spec.make:
        located = Located(_generate(spec.name, spec.make), {"url": None, "sha256": None})
    else:
        located = fetch_archive(spec.url or "", spec.sha256, progress, size=spec.size)
    root = located.path / spec.root
    if not root.is_dir() and not (root.is_file() and is_table_name(root.name)):
        raise DataError(f"the data set {spec.name!r} has no {spec.root!r}, which its spec declares as `root`.")
    return replace(located, path=root)


def unpack(archive: Path, progress: Progress) -> Path:
    """Return the folder that an archive is unpacked to. It is kept for later runs.

    Raises:
        DataError: If the archive cannot be unpacked.
    """
    with accessing(archive, DataError, "pass an archive that can be read"):
        digest = sha256_of(archive)
    folder = _unpacked(digest)
    if not folder.is_dir():
        progress.say(f"unpacking {archive}")
        remove_leftovers()
        with writing_cache(folder.parent), atomic_write(folder) as partial:
            extract_archive(archive, partial)
    return folder


def fetch_archive(url: str, sha256: str | None, progress: Progress, *, size: int | None = None) -> Located:
    """Fetch an archive and unpack it. The result is kept for later runs.

    If no SHA-256 is given, the folder of the images is named after the SHA-256 of the archive that was fetched.

    Raises:
        DataError: If the archive cannot be unpacked.
        DownloadError: If it cannot be fetched.
    """
    key = sha256 or _digest(url, "measured")
    folder = _unpacked(key)
    if not folder.is_dir():
        target = folder.with_name(f"{key}-{cache_name(url)}")
        archive = fetch(url, target, sha256=sha256, size=size, progress=progress)
        progress.say(f"unpacking {file_name(url)}")
        with writing_cache(folder.parent), atomic_write(folder) as partial:
            _unpack_fetched(archive, partial, is_pinned=sha256 is not None)
        archive.unlink(missing_ok=True)  # Another process may already have removed it.
    path = folder if sha256 else next(folder.iterdir())
    return Located(path, {"url": url, "sha256": sha256 or path.name})


def _unpack_fetched(archive: Path, folder: Path, *, is_pinned: bool) -> None:
    try:
        extract_archive(archive, folder if is_pinned else folder / sha256_of(archive))
    except DataError:
        if not is_pinned:  # It may be an error page of the server. The next attempt fetches it again.
            archive.unlink(missing_ok=True)
        raise


def _generate(name: str, make: Callable[[Path], None]) -> Path:
    folder = _cached(_digest(name, _code_of(make)))
    if folder.is_dir():
        return folder
    remove_leftovers()
    with writing_cache(folder.parent), atomic_write(folder) as partial:
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


def _unpacked(key: str) -> Path:
    return _cached(f"{key}-{RULES}")


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
