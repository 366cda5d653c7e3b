"""The cache folder: what was fetched, unpacked or computed once, and may be removed at any time.

It holds a folder for each of `KINDS`; each entry in them is a file or a folder that is whole.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

KINDS = ("features", "compiled", "examined", "weights", "data")


@dataclass(frozen=True)
class Entry:
    """Something that is kept."""

    #: One of `KINDS`.
    kind: str
    path: Path
    #: In bytes.
    size: int
    #: When it was last used, or made where use is not noted; in seconds since 1970.
    used: float

    def describe(self) -> str:
        """Say what it is, in a few words."""
        about = read_about(self.path) if self.kind == "features" else None
        if not about:
            return self.path.name
        view = "" if about["view"] is None else f", view {about['view']}"
        return f"{about['backbone']}, {len(about['images'])} images{view}, {about['hardware'][1]}"


def cache_folder() -> Path:
    """Return the cache folder: ``ZOO_CACHE``, else ``XDG_CACHE_HOME/zoo``, else ``~/.cache/zoo``.

    It is made when the first file is written into it.
    """
    if own := os.environ.get("ZOO_CACHE"):
        return Path(own).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "zoo"


def list_entries(kind: str) -> list[Entry]:
    """List what is kept of a kind, what was used last first."""
    return sorted(_read_entries(kind), key=lambda entry: (-entry.used, entry.path))


def remove(entry: Entry) -> None:
    """Remove an entry; whoever has it open goes on.

    Raises:
        OSError: it belongs to somebody else.
    """
    if entry.path.is_dir():
        shutil.rmtree(entry.path)
    else:
        entry.path.unlink(missing_ok=True)


def read_about(path: Path) -> Mapping[str, Any] | None:
    """Read from the header of a file of features what they are of; None where it is none, or damaged."""
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
        with suppress(FileNotFoundError):  # removed by another process since it was listed
            status = path.stat()
            size = status.st_size if path.is_file() else sum(file.stat().st_size for file in path.rglob("*"))
            yield Entry(kind, path, size, status.st_mtime)


def make_key(about: Mapping[str, Any]) -> str:
    """Return the digest of what decides the rows, which JSON must be able to hold."""
    return hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()
