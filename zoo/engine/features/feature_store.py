"""Features in the cache folder, identified by a digest of everything that determines them.

Each file is ``features/KEY.safetensors``. It is written atomically, and memory-mapped when it is read. Its header lists
what determines the features, in readable form. The least recently used files are removed to make room for new ones.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from itertools import chain
from pathlib import Path
from typing import Any, BinaryIO

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from zoo.errors import CacheError
from zoo.files.atomic import atomic_write
from zoo.files.cache import Entry, cache_folder, list_entries, make_key, remove
from zoo.files.leftovers import remove_leftovers
from zoo.files.limits import CACHE_BYTES, FREE_BYTES
from zoo.files.partial import PREFIX

KIND = "features"
_ROWS = "rows"
#: Key of the metadata with the SHA-256 of the rows.
_DIGEST = "sha256"
_DTYPE_NAMES = {torch.float32: "F32", torch.bfloat16: "BF16", torch.float16: "F16"}


def find_rows(about: Mapping[str, Any], say: Callable[[str], None] = lambda _line: None) -> Tensor | None:
    """Return the cached rows with exactly this description, memory-mapped, or None.

    A damaged file is removed and reported with ``say``.
    """
    path = _path_of(about)
    try:
        rows, digest = _read(path)
        if digest != _update(hashlib.sha256(), rows).hexdigest():
            raise OSError("the checksum does not match")
    except FileNotFoundError:
        return None
    except (OSError, SafetensorError) as error:
        say(f"note: cached features are damaged and will be recomputed: {path}: {error}")
        with suppress(OSError):  # the file may belong to another user
            path.unlink(missing_ok=True)
        return None
    with suppress(OSError):  # as above
        os.utime(path)
    return rows


def _read(path: Path) -> tuple[Tensor, str | None]:
    if path.exists() and not path.is_file():  # Opening a named pipe would block forever.
        raise OSError("it is not a file")
    with safe_open(path, framework="pt") as file:
        return file.get_tensor(_ROWS), (file.metadata() or {}).get(_DIGEST)


def store_rows(about: Mapping[str, Any], count: int, batches: Iterable[Tensor]) -> Tensor:
    """Write rows batch by batch, so that only one batch is in memory, and return them memory-mapped.

    Rows with the same description are replaced.

    Args:
        about: Description of everything that determines the rows, as values that JSON can represent.
        count: Total number of rows.
        batches: Tensors of shape (N, width).

    Raises:
        CacheError: If the limit or the disk is too small, or the folder cannot be written.
    """
    path = _path_of(about)
    iterator = iter(batches)
    first = next(iterator)
    num_bytes = count * first[0].nbytes
    check_room(num_bytes)
    with _writing(path.parent):
        _make_room(num_bytes)
        with atomic_write(path) as partial, partial.open("wb") as file:
            _write(file, about, (count, *first.shape[1:]), first.dtype, chain([first], iterator))
    return load_rows(about)


def load_rows(about: Mapping[str, Any]) -> Tensor:
    """Return rows that were just cached, memory-mapped.

    Raises:
        CacheError: If another process has removed them.
    """
    try:
        rows, _ = _read(_path_of(about))
    except FileNotFoundError as error:
        raise CacheError(f"{_path_of(about)} was removed by another process") from error
    return rows


def check_room(num_bytes: int) -> None:
    """Raise `CacheError` if the limit or the disk is too small for this many bytes."""
    folder = _folder()
    if num_bytes > CACHE_BYTES.read():
        raise CacheError(f"the features need {CACHE_BYTES.explain(num_bytes)}")
    with _writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(folder).free
        if not os.access(folder, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    if num_bytes + FREE_BYTES.read() > free + sum(entry.size for entry in _list_complete()):
        raise CacheError(
            f"the features need {num_bytes:,} bytes, but only {free:,} bytes are free in {folder}; "
            "set ZOO_CACHE to a folder on a different disk"
        )


@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    """Return a context that turns an `OSError` into a `CacheError`."""
    try:
        yield
    except OSError as error:
        raise CacheError(f"{folder} cannot be written: {error.strerror or error}") from error


def _folder() -> Path:
    return cache_folder() / KIND


def _path_of(about: Mapping[str, Any]) -> Path:
    return _folder() / f"{make_key(about)}.safetensors"


def _write(
    file: BinaryIO, about: Mapping[str, Any], shape: tuple[int, ...], dtype: torch.dtype, batches: Iterable[Tensor]
) -> None:
    """Write a safetensors file batch by batch; the safetensors library would need all rows in memory at once."""
    size = torch.Size(shape).numel() * dtype.itemsize
    metadata = {"about": json.dumps(about), _DIGEST: "0" * 64}
    header = {
        "__metadata__": metadata,
        _ROWS: {"dtype": _DTYPE_NAMES[dtype], "shape": list(shape), "data_offsets": [0, size]},
    }
    digest = hashlib.sha256()
    _write_header(file, header)
    for batch in batches:
        _update(digest, batch)
        file.write(batch.contiguous().view(torch.uint8).numpy().tobytes())
    metadata[_DIGEST] = digest.hexdigest()  # the digest is known only now; it is as long as the zeros in its place
    file.seek(0)
    _write_header(file, header)


def _write_header(file: BinaryIO, header: Mapping[str, Any]) -> None:
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)  # the format aligns its data to 8 bytes
    file.write(len(text).to_bytes(8, "little") + text)


def _update(digest: hashlib._Hash, rows: Tensor) -> hashlib._Hash:
    digest.update(rows.contiguous().view(torch.uint8).numpy().data)
    return digest


def _make_room(num_bytes: int) -> None:
    """Remove what killed processes left, and then the least recently used features, until there is enough room."""
    remove_leftovers()
    entries = _list_complete()
    used, free = sum(entry.size for entry in entries), shutil.disk_usage(_folder()).free
    while entries and (used + num_bytes > CACHE_BYTES.read() or num_bytes + FREE_BYTES.read() > free):
        oldest = entries.pop()
        remove(oldest)
        used, free = used - oldest.size, free + oldest.size


def _list_complete() -> list[Entry]:
    """List complete files, the most recently used first; other processes are still writing the partial ones."""
    return [entry for entry in list_entries(KIND) if not entry.path.name.startswith(PREFIX)]
