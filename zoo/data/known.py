"""Digests of image files that were decoded before, by these very versions, and need not be tried again.

They lie in the cache folder, one on each line of a file that only grows: lines of several processes may come in any
order, and a line that was cut is the digest of nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path

from zoo.files.cache import cache_folder

#: What decides whether a file can be decoded.
_DECODERS = ("zoo", "torch", "torchvision", "pillow")


def read_known() -> frozenset[str]:
    """Return the digests of all files that these versions have decoded."""
    try:
        return frozenset(_path().read_text(encoding="ascii").split("\n"))
    except (OSError, UnicodeDecodeError):
        return frozenset()


def add_known(digests: Iterable[str]) -> None:
    """Note files that were decoded; where nothing can be written they are decoded again the next time."""
    lines = "".join(f"{digest}\n" for digest in digests)
    if not lines:
        return
    try:
        path = _path()
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a", encoding="ascii") as file:
            file.write(lines)
    except OSError:  # a cache that cannot be written costs time and nothing else
        return


def _path() -> Path:
    versions = " ".join(f"{name} {metadata.version(name)}" for name in _DECODERS)
    return cache_folder() / "examined" / f"{hashlib.sha256(versions.encode()).hexdigest()[:16]}.txt"
