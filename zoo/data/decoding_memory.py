"""The memory for decoding an image, estimated from its header, and a budget that all threads share."""

from __future__ import annotations

import ctypes
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Condition

from PIL import Image

from zoo.errors import DataError
from zoo.files.limits import DECODING_BYTES, JPEG_SCANS, PIXELS

#: Bytes per pixel of torchvision's JPEG decoder: the result, and a rotated copy.
_JPEG = 7
#: The same with several scans, for which the decoder keeps the coefficients of up to four colors.
_JPEG_WITH_SCANS = 14
#: Bytes per pixel of Pillow: the image, a rotated copy, copies for blending with white, and the result. WebP takes the
#: most; we measured 25.
_PILLOW = 32

#: Freed memory is returned to the system before decoding an image that needs more than this part (1/N) of the budget.
_LARGE = 8

_SCAN, _END = b"\xff\xda", b"\xff\xd9"
#: Start-of-frame markers of JPEGs that are not progressive.
_SEQUENTIAL = (b"\xff\xc0", b"\xff\xc1", b"\xff\xc9")
#: A marker with a length after it, or the end of the image. The excluded bytes are fill bytes, stuffed bytes, and
#: markers without a length, most of which are within a scan.
_MARKER = re.compile(rb"\xff[^\x00\x01\xd0-\xd8\xff]")
_TILE_WIDTH, _TILE_LENGTH = 322, 323


class MemoryBudget:
    """Memory that threads share. A thread waits until enough of it is free."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Begin with an unused budget. Call this in a forked process, whose parent may have been decoding."""
        self._used = 0
        self._freed = Condition()

    @contextmanager
    def reserve(self, count: int) -> Iterator[None]:
        """Reserve ``count`` bytes within the context. If nothing else is reserved, the budget may be exceeded.

        Do not reserve memory twice in the same thread, because the thread could wait for itself.
        """
        share = _read_local_budget()
        with self._freed:
            self._freed.wait_for(lambda: not self._used or self._used + count <= share)
            self._used += count
        try:
            if count > share // _LARGE:
                _return_freed()
            yield
        finally:
            with self._freed:
                self._used -= count
                self._freed.notify_all()


#: The budget of this process.
DECODING = MemoryBudget()


def estimate_memory(image: Image.Image, data: bytes, *, turbo: bool) -> int:
    """Return the maximum number of bytes that decoding takes, without decoding.

    Args:
        image: The image, opened but not loaded.
        data: The content of its file.
        turbo: Whether torchvision decodes it instead of Pillow.

    Raises:
        DataError: If the image exceeds a limit. The message is a clause that begins with "it".
    """
    pixels = _count_pixels(image)
    if pixels > PIXELS.read():
        raise DataError(f"it has {PIXELS.explain(pixels)}")
    scans = count_scans(data) if image.format in ("JPEG", "MPO") else 1
    if scans > JPEG_SCANS.read():
        raise DataError(f"it has {JPEG_SCANS.explain(scans)}")
    memory = pixels * (_PILLOW if not turbo else _JPEG if scans <= 1 else _JPEG_WITH_SCANS)
    if memory > DECODING_BYTES.read():
        raise DataError(f"decoding it takes {DECODING_BYTES.explain(memory)}")
    return memory


def count_scans(data: bytes) -> int:
    """Return the number of scans of a JPEG file, excluding those of a thumbnail in its metadata."""
    scans, place, colors = 0, 0, b""
    while (found := _MARKER.search(data, place)) and found[0] != _END:
        start = found.end()
        if found[0] in _SEQUENTIAL:
            colors = data[start + 7 : start + 8]
        elif found[0] == _SCAN:
            scans += 1
            if scans == 1 and data[start + 2 : start + 3] == colors:
                break  # All colors are in the first scan. libjpeg refuses further scans, so the search ends.
        place = start + int.from_bytes(data[start : start + 2])
    return scans


def _return_freed() -> None:
    """Return freed memory to the system.

    The GNU C library keeps freed memory separately for each thread. Without this function, four threads that decoded
    four large images one after the other took as much memory as if they had decoded them at the same time.
    """
    if sys.platform == "linux" and hasattr(library := ctypes.CDLL(None), "malloc_trim"):
        library.malloc_trim(ctypes.c_size_t(0))


def _count_pixels(image: Image.Image) -> int:
    """Return the number of pixels of an image, or of a tile if it is larger, because libtiff decodes whole tiles."""
    tags = getattr(image, "tag_v2", {})
    tile = [tags.get(tag, 0) for tag in (_TILE_WIDTH, _TILE_LENGTH)]
    width, length = (side if isinstance(side, int) else 0 for side in tile)
    return max(image.width * image.height, width * length)


def _read_local_budget() -> int:
    """Return this process's part of the budget: the processes of a run on the same machine divide it."""
    return DECODING_BYTES.read() // int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
