"""What becomes of memory that was freed, where the C library is GNU's; elsewhere nothing here does anything."""

from __future__ import annotations

import ctypes
import os
import sys

#: Of mallopt(3): how much at the end of the heap is given back to the system, and how many blocks lie outside of it.
_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4
#: Whoever sets one of these variables, or one of ``glibc.malloc`` in GLIBC_TUNABLES, has a choice of their own.
VARIABLES = ("MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_", "MALLOC_MMAP_MAX_")

#: The library, once it was told to keep what is freed.
_keeping: list[ctypes.CDLL] = []


def keep_freed() -> None:
    """Let this process keep what it frees for what it makes next: it makes tensors of the same sizes at each step.

    Without this a large block is given back when it is freed, and comes again page by page, each filled with zeros.
    That is a third of a step of VGG's classifier.
    """
    library = _find_library()
    if library and not _keeping and not _is_chosen():
        library.mallopt(_M_MMAP_MAX, 0)
        library.mallopt(_M_TRIM_THRESHOLD, -1)  # never
        _keeping.append(library)


def give_back() -> None:
    """Give back what was kept, where what comes next is of other sizes."""
    for library in _keeping:
        library.malloc_trim(ctypes.c_size_t(0))


def _find_library() -> ctypes.CDLL | None:
    if sys.platform != "linux":
        return None
    library = ctypes.CDLL(None)
    return library if hasattr(library, "mallopt") and hasattr(library, "malloc_trim") else None


def _is_chosen() -> bool:
    return any(name in os.environ for name in VARIABLES) or "glibc.malloc." in os.environ.get("GLIBC_TUNABLES", "")
