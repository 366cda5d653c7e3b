"""A file to download, and where it is stored."""

from __future__ import annotations

import hashlib
from pathlib import Path

from zoo.files.download import fetch
from zoo.progress import Silent

CONTENT = bytes(range(256)) * 40
DIGEST = hashlib.sha256(CONTENT).hexdigest()


def get(url: str, target: Path, *, sha256: str | None = DIGEST, size: int | None = None) -> bytes:
    return fetch(url, target, sha256=sha256, size=size, progress=Silent()).read_bytes()


def left_in(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}
