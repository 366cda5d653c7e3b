"""Read every image before training, so that an unreadable image cannot stop a run midway.

With the same package versions, a file is examined only once: the digests of all files that were decoded are kept in the
cache folder, in a text file with one line per file. Several processes may append to this file in any order. All lines
have the same length, so a truncated line is never valid, not even together with the next one.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from zoo.data.cores import count_cores
from zoo.data.decode import decoded, quiet_pillow
from zoo.data.file_kinds import reads_heic
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
#: A line for a decoded file: its peak in hex, whether it is animated, and its digest.
_LINE = re.compile(rb"([0-9a-f]{4}) ([01]) ([0-9a-f]{64})\n")


class Traits(NamedTuple):
    """What decoding an image revealed about it."""

    #: Largest value of an image with 16 bits per value, whose values may use fewer bits; otherwise 0.
    peak: int = 0
    is_animated: bool = False


#: Traits of decoded files, by the SHA-256 of their bytes.
Known = Mapping[bytes, Traits]
#: Most files have these traits. There may be millions of them, so they share one object.
_PLAIN = Traits()


def examine_files(
    files: Sequence[ImageFile], labels: Mapping[str, int], *, keep: Views | None = None, progress: Progress
) -> tuple[list[Sample], list[LeftOut], Known]:
    """Decode files.

    Returns the files that can be decoded, in the given order; those that cannot, with the reasons; and the traits of
    the former, without those of ordinary images.

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
    found: dict[bytes, Traits] = {}
    known = read_known()
    with quiet_pillow(), progress.track("examining images", len(files)) as advance:
        for file, result in _examine_each(files, partial(_examine, keep, known)):
            if isinstance(result, LeftOut):
                bad.append(result)
            else:
                digest, traits = result
                good.append(Sample(file, labels[file.class_name], digest))
                if traits != _PLAIN:
                    found[digest] = traits
            advance(1)
    add_known({image.digest: found.get(image.digest, _PLAIN) for image in good if image.digest not in known})
    return good, bad, found


def _examine_each(
    files: Sequence[ImageFile], examine: Callable[[ImageFile], tuple[bytes, Traits] | LeftOut]
) -> Iterator[tuple[ImageFile, tuple[bytes, Traits] | LeftOut]]:
    pool = ThreadPoolExecutor(min(EXAMINING_THREADS.read(), count_cores()), thread_name_prefix="examine")
    try:
        for start in range(0, len(files), _PENDING):  # A pending call needs ten times the memory of a sample.
            some = files[start : start + _PENDING]
            yield from zip(some, pool.map(examine, some), strict=True)  # Decoding releases the GIL.
    finally:
        pool.shutdown(cancel_futures=True)  # This also runs after Ctrl-C.


def _examine(keep: Views | None, known: Known, file: ImageFile) -> tuple[bytes, Traits] | LeftOut:
    """Return the SHA-256 of a file that can be decoded, and its traits."""
    try:
        data = read_image(file)
        digest = hashlib.sha256(data).digest()
        if digest in known:
            return digest, known[digest]
        with decoded(data) as image:
            if keep and not image.peak:  # The white level of 16-bit images is not known yet.
                keep.offer(file.split, digest, image.pixels)
    except DataError as error:
        return LeftOut(file.path, str(error))
    return digest, Traits(image.peak, image.is_animated)


def read_known() -> Known:
    """Return the traits of all files that the installed package versions have decoded."""
    try:
        with _path().open("rb") as file:
            found = (_LINE.fullmatch(line) for line in file)
            return {bytes.fromhex(line[3].decode()): _parse_traits(line[1], line[2]) for line in found if line}
    except OSError:
        return {}


def _parse_traits(peak: bytes, is_animated: bytes) -> Traits:
    traits = Traits(int(peak, 16), is_animated == b"1")
    return _PLAIN if traits == _PLAIN else traits


def add_known(files: Known) -> None:
    """Record decoded files. If the cache folder is not writable, nothing is recorded."""
    path = _path()
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a", encoding="ascii") as file:
            file.writelines(f"{peak:04x} {animated:d} {digest.hex()}\n" for digest, (peak, animated) in files.items())


def _path() -> Path:
    decoders = (*_DECODERS, "pillow-heif") if reads_heic() else _DECODERS
    versions = " ".join(f"{name} {version}" for name, version in read_versions(*decoders).items())
    return cache_folder() / "examined" / f"{hashlib.sha256(versions.encode()).hexdigest()[:16]}.txt"
