"""Settings of GNU malloc that keep freed memory in the process. On other systems, these functions do nothing."""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

#: Parameters of mallopt(3).
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_MMAP_MAX = -1, -3, -4
#: The values of these parameters in a process that has freed large blocks: malloc raises both thresholds up to these
#: values whenever a block is freed that was above the lower one. It stops doing so after the first call of mallopt.
_USUAL = {_M_TRIM_THRESHOLD: 64 * 2**20, _M_MMAP_THRESHOLD: 32 * 2**20, _M_MMAP_MAX: 65536}
#: Environment variables with which users tune malloc themselves; ``glibc.malloc`` in GLIBC_TUNABLES does the same.
VARIABLES = ("MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_", "MALLOC_MMAP_MAX_")

#: The C library, if `keep_freed_memory` has changed its settings; empty otherwise.
_tuned: list[ctypes.CDLL] = []


def keep_freed_memory() -> None:
    """Keep freed memory in this process, unless the user has tuned malloc.

    Each training step allocates tensors of the same sizes. By default, malloc returns a large block to the system when
    it is freed, and the system fills every page with zeros when the block is allocated again. For VGG's classifier,
    this accounts for a third of a step's time.
    """
    library = _find_library()
    if library and not _tuned and not _is_tuned_by_user():
        library.mallopt(_M_MMAP_MAX, 0)
        library.mallopt(_M_TRIM_THRESHOLD, -1)  # never
        _tuned.append(library)


@contextmanager
def keeping_freed_memory() -> Iterator[None]:
    """Return a context that keeps freed memory, and returns it to the system at the end.

    It changes nothing if the process keeps freed memory anyway, or if the user has tuned malloc.
    """
    if _tuned:
        yield
        return
    keep_freed_memory()
    try:
        yield
    finally:
        return_freed_memory()
        for library in _tuned:
            for parameter, value in _USUAL.items():
                library.mallopt(parameter, value)
        _tuned.clear()


def return_freed_memory() -> None:
    """Return freed memory to the system, for example because later allocations have different sizes."""
    for library in _tuned:
        library.malloc_trim(ctypes.c_size_t(0))


def _find_library() -> ctypes.CDLL | None:
    if sys.platform != "linux":
        return None
    library = ctypes.CDLL(None)
    return library if hasattr(library, "mallopt") and hasattr(library, "malloc_trim") else None


def _is_tuned_by_user() -> bool:
    return any(name in os.environ for name in VARIABLES) or "glibc.malloc." in os.environ.get("GLIBC_TUNABLES", "")
