"""Decompress an archive as a stream. Its first bytes say how it is compressed; its name may be wrong."""

from __future__ import annotations

import bz2
import gzip
import lzma
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

from zoo.errors import DataError

ZIP = b"PK"


def read_magic(archive: Path) -> bytes:
    """Return the first bytes of a file. Raises OSError."""
    with archive.open("rb") as file:
        return file.read(6)


def open_decompressed(archive: Path) -> Any:
    """Open a file that may be compressed with gzip, bzip2, xz or zstd, for reading the decompressed bytes.

    Raises:
        DataError: If the file is compressed with zstd, and this Python cannot read it.
    """
    magic = read_magic(archive)
    return next((opener for start, opener in _OPENERS.items() if magic.startswith(start)), open)(archive, "rb")


def _open_zstd(archive: Path, mode: str) -> Any:
    try:  # The second package is a backport of the first one to older versions of Python.
        zstd = import_module("compression.zstd" if sys.version_info >= (3, 14) else "backports.zstd")
    except ImportError as error:
        raise DataError(
            f"cannot unpack {str(archive)!r}: it is compressed with zstd; install zoo-backbones[zstd], or unpack it "
            "yourself and use the folder."
        ) from error
    return zstd.open(archive, mode)


_OPENERS: dict[bytes, Callable[..., Any]] = {
    b"\x1f\x8b": gzip.open,
    b"BZh": bz2.open,
    b"\xfd7zXZ": lzma.open,
    b"\x28\xb5\x2f\xfd": _open_zstd,
}
