"""Every image is read before the first step, and decoded if it never was, so that none can stop a run in the middle.

Digests of files that these very versions have decoded lie in the cache folder, one on each line of a file that only
grows: lines of several processes may come in any order, and a line that was cut is the digest of nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from zoo.data.cores import count_cores
from zoo.data.decode import decode_image, quiet_pillow, read_image_file
from zoo.data.folder import ImageFile, LeftOut
from zoo.errors import DataError
from zoo.files.cache import cache_folder
from zoo.files.versions import read_versions
from zoo.progress import Progress

if TYPE_CHECKING:
    from zoo.data.pixel_cache import Views

#: Images that are in memory at the same time.
_MAX_THREADS = 8
#: Packages whose versions decide whether a file can be decoded.
_DECODERS = ("zoo", "torch", "torchvision", "pillow")


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
    pool = ThreadPoolExecutor(min(_MAX_THREADS, count_cores()), thread_name_prefix="examine")
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
    versions = " ".join(f"{name} {version}" for name, version in read_versions(*_DECODERS).items())
    return cache_folder() / "examined" / f"{hashlib.sha256(versions.encode()).hexdigest()[:16]}.txt"
