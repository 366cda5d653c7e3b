"""Every image is read and decoded once before the first step, so that none can stop a run in the middle."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from zoo.data.folder import ImageFile, LeftOut
from zoo.data.image import decode_image, quiet_pillow, read_image_file
from zoo.errors import DataError

if TYPE_CHECKING:
    from zoo.data.pixels import Pixels
    from zoo.progress import Progress

#: Images that are in memory at the same time.
_MAX_THREADS = 8


@dataclass(frozen=True, slots=True)
class Examined:
    """An image that can be decoded, and the SHA-256 of its bytes in hex."""

    file: ImageFile
    digest: str


def examine_files(
    files: Sequence[ImageFile], *, keep: Sequence[Pixels] = (), progress: Progress
) -> tuple[list[Examined], list[LeftOut]]:
    """Return the files that can be decoded, in the order given, and those that cannot, with the reason.

    What was decoded is offered to ``keep``, so that it need not be decoded again.
    """
    good: list[Examined] = []
    bad: list[LeftOut] = []
    with quiet_pillow(), progress.track("examining images", len(files)) as advance:
        for result in _examine_each(files, keep):
            (good if isinstance(result, Examined) else bad).append(result)  # type: ignore[arg-type]  # its own list
            advance(1)
    return good, bad


def _examine_each(files: Sequence[ImageFile], keep: Sequence[Pixels]) -> Iterator[Examined | LeftOut]:
    pool = ThreadPoolExecutor(min(_MAX_THREADS, os.cpu_count() or 1), thread_name_prefix="examine")
    try:
        yield from pool.map(partial(_examine, keep), files)  # decoding lets go of the interpreter's lock
    finally:
        pool.shutdown(cancel_futures=True)  # after Ctrl-C, too


def _examine(keep: Sequence[Pixels], file: ImageFile) -> Examined | LeftOut:
    try:
        data = read_image_file(file.path)
        decoded = decode_image(data)
    except DataError as error:
        return LeftOut(file.path, str(error))
    digest = hashlib.sha256(data).hexdigest()
    for pixels in keep:
        pixels.offer(digest, decoded)
    return Examined(file, digest)
