"""Rows of numbers that were dear to compute, kept in the cache folder under the digest of all that decides them.

One safetensors file each: ``features/KEY.safetensors``, whole or absent, memory-mapped when read. What decides the rows
is in its header, for people to read. The files used least recently make room for new ones.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from itertools import chain
from pathlib import Path
from typing import Any, BinaryIO

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from zoo.errors import CacheError, OptionError
from zoo.files.atomic import PREFIX, whole
from zoo.files.cache import Entry, cache_folder, list_entries, make_key, remove

#: Bytes that all rows together may take on disk, unless ``ZOO_CACHE_LIMIT`` says otherwise.
LIMIT = 20 * 2**30
#: Bytes of the disk that are left free whatever the limit.
SPARE = 2**30

KIND = "features"
_ROWS = "rows"
_NAMES = {torch.float32: "F32", torch.bfloat16: "BF16", torch.float16: "F16", torch.uint8: "U8"}


def find_rows(about: Mapping[str, Any]) -> Tensor | None:
    """Return the rows that were kept for exactly this, memory-mapped, or None. A damaged file is removed."""
    path = _path_of(about)
    try:
        with safe_open(path, framework="pt") as file:
            rows: Tensor = file.get_tensor(_ROWS)
    except FileNotFoundError:
        return None
    except (OSError, SafetensorError):
        with suppress(OSError):  # it is another user's, who may write there
            path.unlink(missing_ok=True)
        return None
    with suppress(OSError):  # as well
        os.utime(path)
    return rows


def keep_rows(about: Mapping[str, Any], count: int, batches: Iterable[Tensor]) -> Tensor:
    """Write ``count`` rows batch by batch, so that memory holds one batch at a time, and return them memory-mapped.

    Raises:
        CacheError: the limit or the disk is too small, or the folder cannot be written.
    """
    path = _path_of(about)
    iterator = iter(batches)
    first = next(iterator)
    wanted = count * first[0].nbytes
    check_room(wanted)
    try:
        _make_room(wanted)
        with whole(path) as own, own.open("wb") as file:
            _write(file, about, (count, *first.shape[1:]), first.dtype, chain([first], iterator))
    except OSError as error:
        raise CacheError(f"{path.parent} cannot be written: {error.strerror or error}") from error
    rows = find_rows(about)
    if rows is None:
        raise CacheError(f"{path} was removed by another process")
    return rows


def drop_rows(about: Mapping[str, Any]) -> None:
    """Remove what was kept for exactly this: what exists is never written again.

    Raises:
        CacheError: it cannot be removed.
    """
    path = _path_of(about)
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise CacheError(f"{path} cannot be removed: {error.strerror or error}") from error


def check_room(wanted: int) -> None:
    """Raise CacheError when ``wanted`` bytes are more than the limit or the disk allows."""
    folder = _folder()
    if wanted > _limit():
        raise CacheError(f"its {wanted:,} bytes are more than ZOO_CACHE_LIMIT allows, {_limit():,}")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(folder).free
    except OSError as error:
        raise CacheError(f"{folder} cannot be written: {error.strerror or error}") from error
    if not os.access(folder, os.W_OK):
        raise CacheError(f"{folder} cannot be written: {os.strerror(errno.EACCES)}")
    if wanted + SPARE > free + sum(entry.size for entry in _list_kept()):
        raise CacheError(f"{folder} has {free:,} bytes free, and {wanted:,} are wanted; ZOO_CACHE moves it")


#: Seconds after the last write to a file without its final name when its writer is taken for dead.
ABANDONED = 3600.0


def _folder() -> Path:
    return cache_folder() / KIND


def _path_of(about: Mapping[str, Any]) -> Path:
    return _folder() / f"{make_key(about)}.safetensors"


def _write(
    file: BinaryIO, about: Mapping[str, Any], shape: tuple[int, ...], dtype: torch.dtype, batches: Iterable[Tensor]
) -> None:
    size = torch.Size(shape).numel() * dtype.itemsize
    header = {
        "__metadata__": {"about": json.dumps(about)},
        _ROWS: {"dtype": _NAMES[dtype], "shape": list(shape), "data_offsets": [0, size]},
    }
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)  # the format wants its numbers aligned
    file.write(len(text).to_bytes(8, "little") + text)
    file.writelines(batch.contiguous().view(torch.uint8).numpy().tobytes() for batch in batches)


def _make_room(wanted: int) -> None:
    """Remove what was abandoned, then what was used least recently, until there is room for ``wanted`` bytes."""
    for path in _folder().glob(f"{PREFIX}*"):
        with suppress(FileNotFoundError):  # its writer has finished, or another process was faster
            if time.time() - path.stat().st_mtime > ABANDONED:
                path.unlink()
    entries = _list_kept()
    kept, free = sum(entry.size for entry in entries), shutil.disk_usage(_folder()).free
    while entries and (kept + wanted > _limit() or wanted + SPARE > free):
        oldest = entries.pop()
        remove(oldest)
        kept, free = kept - oldest.size, free + oldest.size


def _list_kept() -> list[Entry]:
    """List what is whole, what was used last first; the beginnings of others are not ours to remove."""
    return [entry for entry in list_entries(KIND) if not entry.path.name.startswith(PREFIX)]


def _limit() -> int:
    text = os.environ.get("ZOO_CACHE_LIMIT", "")
    if text and not text.isdecimal():
        raise OptionError(f"ZOO_CACHE_LIMIT is {text!r}; it must be a whole number of bytes.")
    return int(text) if text else LIMIT
