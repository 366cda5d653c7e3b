"""The cache folder: downloaded, unpacked and computed files, all of which may be removed at any time.

It has one subfolder for each of `KINDS`. Each entry in a subfolder is a complete file or folder. A user may set
``ZOO_CACHE`` to a folder that contains other files, too. An entry is therefore recognized by its name, and everything
else is ignored.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zoo.errors import CacheError
from zoo.files.partial import PART, PREFIX
from zoo.files.processes import read_node

#: The names that zoo gives to the entries of each kind.
_NAMES = {
    "features": r"[0-9a-f]{64}\.safetensors",
    "compiled": r"torch-[0-9]+\..+",
    "examined": r"[0-9a-f]{16}\.txt",
    "ranked": r"[0-9a-f]{64}\.json",
    "weights": r"[0-9a-f]{16}-.*",
    "data": r"[0-9a-f]{64}(-.*)?|torchvision-[A-Z].+",
    "shards": r"[0-9a-f]{64}\.json",
    "loading": rf"{re.escape(read_node())}\.([0-9]+(-new)?|passed-.+)",
}
KINDS = tuple(_NAMES)
_PARTIAL = rf"{re.escape(PREFIX)}[0-9]+-[0-9a-f]+(-.+)?"
#: Maximum size of the header of a safetensors file in bytes, as in the safetensors library.
_MAX_HEADER = 100_000_000


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
        match about:
            case {"backbone": str(backbone), "images": [*images], "view": view, "hardware": [_, str(precision)]}:
                shown = "" if view is None else f", view {view}"
                return f"{backbone}, {len(images)} images{shown}, {precision}"
        return self.path.name


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
    """Return the entries of a kind that zoo created, most recently used first."""
    return sorted(_read_entries(kind), key=lambda entry: (-entry.used, entry.path))


def list_others(kind: str) -> list[Path]:
    """Return everything in the subfolder of a kind that zoo did not create, sorted by name."""
    return sorted(path for path in _list_paths(kind) if not _is_own(kind, path))


def find_linked(kind: str) -> Path | None:
    """Return the subfolder of a kind if it is a link to another folder, and None otherwise."""
    folder = cache_folder() / kind
    return folder if folder.is_symlink() else None


def remove(entry: Entry) -> None:
    """Remove an entry; a process that has it open can continue to read it.

    Raises:
        OSError: If the entry belongs to another user.
    """
    if entry.path.is_dir() and not entry.path.is_symlink():
        shutil.rmtree(entry.path)
    else:
        entry.path.unlink(missing_ok=True)


def read_about(path: Path) -> Mapping[str, Any] | None:
    """Return the description in the header of a features file, or None if the file has none or is damaged."""
    try:
        if not path.is_file():  # Opening a named pipe would block forever.
            return None
        with path.open("rb") as file:
            size = int.from_bytes(file.read(8), "little")
            header = json.loads(file.read(size)) if size <= _MAX_HEADER else {}
        about: Mapping[str, Any] = json.loads(header["__metadata__"]["about"])
    except (OSError, ValueError, KeyError, TypeError, MemoryError, RecursionError):
        return None
    return about


def list_own_paths(kind: str) -> list[Path]:
    """Return the paths of a kind that zoo created, including unfinished ones."""
    return [path for path in _list_paths(kind) if _is_own(kind, path)]


def _list_paths(kind: str) -> list[Path]:
    folder = cache_folder() / kind
    try:
        return list(folder.iterdir())
    except OSError:  # It does not exist, or another user does not share it.
        return []


def _is_own(kind: str, path: Path) -> bool:
    name = path.name.removesuffix(PART)
    return re.fullmatch(rf"{_NAMES[kind]}|{_PARTIAL}", name, re.DOTALL) is not None


def _read_entries(kind: str) -> Iterator[Entry]:
    for path in list_own_paths(kind):
        with suppress(FileNotFoundError):  # Another process may remove the entry in the meantime.
            status = path.lstat()
            inner = path.rglob("*") if stat.S_ISDIR(status.st_mode) else ()
            yield Entry(kind, path, status.st_size + sum(file.lstat().st_size for file in inner), status.st_mtime)


def make_key(about: Mapping[str, Any]) -> str:
    """Return a digest of ``about``, which must be JSON-serializable."""
    return hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()
