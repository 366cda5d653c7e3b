"""The cache folder: downloaded, unpacked and computed files, all of which may be removed at any time.

It has one subfolder for each of `KINDS`. Each entry in a subfolder is a complete file or folder.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zoo.errors import CacheError

KINDS = ("features", "compiled", "examined", "weights", "data", "shards", "loading")


@dataclass(frozen=True)
class Entry:
    """A file or folder in the cache."""

    #: Kind of entry, one of `KINDS`.
    kind: str
    path: Path
    #: Size in bytes.
    size: int
    #: Time of last use, or of creation for kinds that do not record use, in seconds since 1970.
    used: float

    def describe(self) -> str:
        """Return a short description."""
        about = read_about(self.path) if self.kind == "features" else None
        if not about:
            return self.path.name
        view = "" if about["view"] is None else f", view {about['view']}"
        return f"{about['backbone']}, {len(about['images'])} images{view}, {about['hardware'][1]}"


def cache_folder() -> Path:
    """Return the cache folder: ``ZOO_CACHE``, else ``XDG_CACHE_HOME/zoo``, else ``~/.cache/zoo``.

    The folder is created when the first file is written to it.

    Raises:
        CacheError: If ``~`` is needed, but this user has no home folder.
    """
    if own := os.environ.get("ZOO_CACHE"):
        return _expand(own)
    return user_cache_folder() / "zoo"


def user_cache_folder() -> Path:
    """Return the folder in which programs keep their caches: ``XDG_CACHE_HOME``, else ``~/.cache``."""
    return _expand(os.environ.get("XDG_CACHE_HOME") or "~/.cache")


def _expand(folder: str) -> Path:
    try:
        return Path(folder).expanduser()
    except RuntimeError as error:
        raise CacheError(f"the cache folder {folder} needs a home folder, and there is none; set ZOO_CACHE.") from error


@contextmanager
def writing_cache(folder: Path) -> Iterator[None]:
    """Return a context that turns an OSError into an error about this folder in the cache folder.

    Raises:
        CacheError: If the folder cannot be written, or the disk is full.
    """
    try:
        yield
    except OSError as error:
        reason = error.strerror or error
        raise CacheError(f"{folder} cannot be written: {reason}; set ZOO_CACHE to a writable folder.") from error


def list_entries(kind: str) -> list[Entry]:
    """Return the entries of a kind, most recently used first."""
    return sorted(_read_entries(kind), key=lambda entry: (-entry.used, entry.path))


def remove(entry: Entry) -> None:
    """Remove an entry; a process that has it open can continue to read it.

    Raises:
        OSError: If the entry belongs to another user.
    """
    if entry.path.is_dir():
        shutil.rmtree(entry.path)
    else:
        entry.path.unlink(missing_ok=True)


def read_about(path: Path) -> Mapping[str, Any] | None:
    """Return the description in the header of a features file, or None if the file has none or is damaged."""
    try:
        with path.open("rb") as file:
            header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
        about: Mapping[str, Any] = json.loads(header["__metadata__"]["about"])
    except (OSError, ValueError, KeyError, TypeError, MemoryError, OverflowError):
        return None
    return about


def _read_entries(kind: str) -> Iterator[Entry]:
    folder = cache_folder() / kind
    for path in folder.iterdir() if folder.is_dir() else ():
        with suppress(FileNotFoundError):  # Another process may remove the entry in the meantime.
            status = path.stat()
            size = status.st_size if path.is_file() else sum(file.stat().st_size for file in path.rglob("*"))
            yield Entry(kind, path, size, status.st_mtime)


def make_key(about: Mapping[str, Any]) -> str:
    """Return a digest of ``about``, which must be JSON-serializable."""
    return hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()
