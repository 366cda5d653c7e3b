"""Every image is read before the first step, and decoded if it never was, so that none can stop a run in the middle."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Container, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from zoo.data.decode import decode_image, quiet_pillow, read_image_file
from zoo.data.folder import ImageFile, LeftOut
from zoo.data.known import add_known, read_known
from zoo.errors import DataError

if TYPE_CHECKING:
    from zoo.data.pixel_cache import Views
    from zoo.progress import Progress

#: Images that are in memory at the same time.
_MAX_THREADS = 8


@dataclass(frozen=True, slots=True)
class Examined:
    """An image that can be decoded, and the SHA-256 of its bytes in hex."""

    file: ImageFile
    digest: str


def examine_files(
    files: Sequence[ImageFile], *, keep: Views | None = None, progress: Progress
) -> tuple[list[Examined], list[LeftOut]]:
    """Return the files that can be decoded, in the order given, and those that cannot, with the reason.

    What is decoded is offered to ``keep``, so that it need not be decoded again. Files whose very bytes were decoded by
    an earlier run are not decoded.
    """
    good: list[Examined] = []
    bad: list[LeftOut] = []
    known = read_known()
    with quiet_pillow(), progress.track("examining images", len(files)) as advance:
        for result in _examine_each(files, partial(_examine, keep, known)):
            (good if isinstance(result, Examined) else bad).append(result)  # type: ignore[arg-type]  # its own list
            advance(1)
    add_known(dict.fromkeys(image.digest for image in good if image.digest not in known))
    return good, bad


def _examine_each(
    files: Sequence[ImageFile], examine: Callable[[ImageFile], Examined | LeftOut]
) -> Iterator[Examined | LeftOut]:
    pool = ThreadPoolExecutor(min(_MAX_THREADS, os.cpu_count() or 1), thread_name_prefix="examine")
    try:
        yield from pool.map(examine, files)  # decoding lets go of the interpreter's lock
    finally:
        pool.shutdown(cancel_futures=True)  # after Ctrl-C, too


def _examine(keep: Views | None, known: Container[str], file: ImageFile) -> Examined | LeftOut:
    try:
        data = read_image_file(file.path)
        digest = hashlib.sha256(data).hexdigest()
        if digest not in known:
            decoded = decode_image(data)
            if keep:
                keep.offer(file.split, digest, decoded)
    except DataError as error:
        return LeftOut(file.path, str(error))
    return Examined(file, digest)
