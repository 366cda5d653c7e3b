"""Read every image before training, so that an unreadable image cannot stop a run midway.

With the same package versions, a file is examined only once: the digests of all files that were decoded are kept in the
cache folder, in a text file with one digest per line. Several processes may append to this file in any order, and a
truncated line matches no digest.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from zoo.data.cores import count_cores
from zoo.data.decode import decoded, quiet_pillow
from zoo.data.image_bytes import read_image
from zoo.data.listing import ImageFile, LeftOut
from zoo.data.sample import Sample
from zoo.errors import DataError
from zoo.files.cache import cache_folder
from zoo.files.limits import EXAMINING_THREADS
from zoo.files.versions import read_versions
from zoo.progress import Progress

if TYPE_CHECKING:
    from zoo.data.pixel_cache import Views

#: Packages whose versions affect which files can be decoded.
_DECODERS = ("zoo", "torch", "torchvision", "pillow")
#: Maximum number of files that wait for a thread.
_PENDING = 4096
_LINE = re.compile(rb"[0-9a-f]{64}\n")


def examine_files(
    files: Sequence[ImageFile], labels: Mapping[str, int], *, keep: Views | None = None, progress: Progress
) -> tuple[list[Sample], list[LeftOut]]:
    """Return the files that can be decoded, in the given order, and those that cannot, with the reasons.

    If an earlier run has decoded a file with the same bytes, the file is not decoded. Decoded images are offered to
    ``keep``, so that training does not have to decode them again.

    Args:
        files: Files to be examined.
        labels: Label of each class.
        keep: Cache that receives the decoded images.
        progress: Where to report progress.
    """
    good: list[Sample] = []
    bad: list[LeftOut] = []
    known = read_known()
    with quiet_pillow(), progress.track("examining images", len(files)) as advance:
        for file, result in _examine_each(files, partial(_examine, keep, known)):
            if isinstance(result, bytes):
                good.append(Sample(file, labels[file.class_name], result))
            else:
                bad.append(result)
            advance(1)
    add_known(dict.fromkeys(image.digest for image in good if image.digest not in known))
    return good, bad


def _examine_each(
    files: Sequence[ImageFile], examine: Callable[[ImageFile], bytes | LeftOut]
) -> Iterator[tuple[ImageFile, bytes | LeftOut]]:
    pool = ThreadPoolExecutor(min(EXAMINING_THREADS.read(), count_cores()), thread_name_prefix="examine")
    try:
        for start in range(0, len(files), _PENDING):  # A pending call needs ten times the memory of a sample.
            some = files[start : start + _PENDING]
            yield from zip(some, pool.map(examine, some), strict=True)  # Decoding releases the GIL.
    finally:
        pool.shutdown(cancel_futures=True)  # This also runs after Ctrl-C.


def _examine(keep: Views | None, known: Container[bytes], file: ImageFile) -> bytes | LeftOut:
    """Return the SHA-256 of a file that can be decoded."""
    try:
        data = read_image(file)
        digest = hashlib.sha256(data).digest()
        if digest not in known:
            with decoded(data) as pixels:
                if keep:
                    keep.offer(file.split, digest, pixels)
    except DataError as error:
        return LeftOut(file.path, str(error))
    return digest


def read_known() -> frozenset[bytes]:
    """Return the digests of all files that the installed package versions have decoded."""
    try:
        with _path().open("rb") as file:
            return frozenset(bytes.fromhex(line.decode()) for line in file if _LINE.fullmatch(line))
    except OSError:
        return frozenset()


def add_known(digests: Iterable[bytes]) -> None:
    """Record the digests of decoded files. If the cache folder is not writable, nothing is recorded."""
    path = _path()
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a", encoding="ascii") as file:
            file.writelines(f"{digest.hex()}\n" for digest in digests)


def _path() -> Path:
    versions = " ".join(f"{name} {version}" for name, version in read_versions(*_DECODERS).items())
    return cache_folder() / "examined" / f"{hashlib.sha256(versions.encode()).hexdigest()[:16]}.txt"
