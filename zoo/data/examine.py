"""Read every image before training, so that an unreadable image cannot stop a run midway.

The same package versions examine a file only once: the digests of all files that were decoded are kept in the cache
folder, in a text file with one line per file. Several processes may append to this file in any order. All lines have
the same length, so a truncated line is never valid, not even together with the next one.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from zoo.data.cores import count_cores
from zoo.data.decode import decoded, quiet_pillow, read_image_file
from zoo.data.listing import ImageFile, LeftOut
from zoo.errors import DataError
from zoo.files.cache import cache_folder
from zoo.files.limits import EXAMINING_THREADS
from zoo.files.versions import read_versions
from zoo.progress import Progress

if TYPE_CHECKING:
    from zoo.data.pixel_cache import Views

#: Packages whose versions affect which files can be decoded.
_DECODERS = ("zoo", "torch", "torchvision", "pillow")
#: A line for a decoded file: its peak in hex, whether it is animated, and its digest.
_LINE = re.compile(r"^([0-9a-f]{4}) ([01]) ([0-9a-f]{64})$", re.MULTILINE)


#: Peak of decoded files, and whether they are animated, by the SHA-256 of their bytes.
Known = Mapping[str, tuple[int, bool]]


@dataclass(frozen=True, slots=True)
class Examined:
    """A readable image file, with the SHA-256 of its bytes in hex."""

    file: ImageFile
    digest: str
    #: Largest value of an image with 16 bits per value, whose values may use fewer bits; otherwise 0.
    peak: int = 0
    is_animated: bool = False


def examine_files(
    files: Sequence[ImageFile], *, keep: Views | None = None, progress: Progress
) -> tuple[list[Examined], list[LeftOut]]:
    """Return the files that can be decoded, in the given order, and those that cannot, with the reasons.

    If an earlier run has decoded a file with the same bytes, the file is not decoded. Decoded images are offered to
    ``keep``, so that training does not have to decode them again.
    """
    good: list[Examined] = []
    bad: list[LeftOut] = []
    known = read_known()
    with quiet_pillow(), progress.track("examining images", len(files)) as advance:
        for result in _examine_each(files, partial(_examine, keep, known)):
            (good if isinstance(result, Examined) else bad).append(result)  # type: ignore[arg-type]  # its own list
            advance(1)
    add_known({image.digest: (image.peak, image.is_animated) for image in good if image.digest not in known})
    return good, bad


def _examine_each(
    files: Sequence[ImageFile], examine: Callable[[ImageFile], Examined | LeftOut]
) -> Iterator[Examined | LeftOut]:
    pool = ThreadPoolExecutor(min(EXAMINING_THREADS.read(), count_cores()), thread_name_prefix="examine")
    try:
        yield from pool.map(examine, files)  # Decoding releases the GIL.
    finally:
        pool.shutdown(cancel_futures=True)  # This also runs after Ctrl-C.


def _examine(keep: Views | None, known: Known, file: ImageFile) -> Examined | LeftOut:
    try:
        data = read_image_file(file.path)
        digest = hashlib.sha256(data).hexdigest()
        if digest in known:
            return Examined(file, digest, *known[digest])
        with decoded(data) as image:
            if keep and not image.peak:  # The white level of 16-bit images is not known yet.
                keep.offer(file.split, digest, image.pixels)
    except DataError as error:
        return LeftOut(file.path, str(error))
    return Examined(file, digest, image.peak, image.is_animated)


def read_known() -> Known:
    """Return all files that the installed package versions have decoded."""
    try:
        lines = _LINE.findall(_path().read_text(encoding="ascii"))
    except (OSError, UnicodeDecodeError):
        return {}
    return {digest: (int(peak, 16), animated == "1") for peak, animated, digest in lines}


def add_known(files: Known) -> None:
    """Record decoded files. If the cache folder is not writable, nothing is recorded."""
    path = _path()
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a", encoding="ascii") as file:
            file.write("".join(f"{peak:04x} {animated:d} {digest}\n" for digest, (peak, animated) in files.items()))


def _path() -> Path:
    versions = " ".join(f"{name} {version}" for name, version in read_versions(*_DECODERS).items())
    return cache_folder() / "examined" / f"{hashlib.sha256(versions.encode()).hexdigest()[:16]}.txt"
