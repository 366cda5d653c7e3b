"""Read every image before training, so that an unreadable image cannot stop a run midway."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

from zoo.data.channels import GRAY, RGB
from zoo.data.cores import count_cores
from zoo.data.decode import decoded, quiet_pillow
from zoo.data.decoding_threads import start_threads
from zoo.data.examination.known import Known, add_known, read_known
from zoo.data.examination.traits import Traits, measure_traits
from zoo.data.image_bytes import read_image
from zoo.data.listing import ImageFile, LeftOut
from zoo.data.sample import Sample
from zoo.errors import DataError
from zoo.files.limits import EXAMINING_THREADS
from zoo.progress import Progress

if TYPE_CHECKING:
    from zoo.data.pixel_cache import Views

#: Maximum number of files that wait for a thread.
_PENDING = 4096

_Examined = tuple[bytes, Traits] | LeftOut


def examine_files(
    files: Sequence[ImageFile],
    labels: Mapping[str, int],
    *,
    keep: Views | None = None,
    progress: Progress,
    channels: int = RGB,
) -> tuple[list[Sample], list[LeftOut], dict[bytes, Traits]]:
    """Decode files.

    Returns the files that can be decoded, in the given order; those that cannot, with the reasons; and the traits of
    the former by their digests.

    If an earlier run has decoded a file with the same bytes, the file is not decoded. Decoded images are offered to
    ``keep``, so that training does not have to decode them again.

    Args:
        files: Files to be examined.
        labels: Label of each class.
        keep: Cache that receives the decoded images.
        progress: Where to report progress.
        channels: Number of channels of the input, as in `zoo.data.decode.decode_image`.
    """
    good: list[Sample] = []
    bad: list[LeftOut] = []
    traits: dict[bytes, Traits] = {}
    known = read_known() if channels in (GRAY, RGB) else Known({})  # Other files can be decoded to other channels.
    with quiet_pillow(), progress.track("examining images", len(files)) as advance:
        for file, result in _examine_each(files, partial(_examine, keep, known, channels)):
            if isinstance(result, LeftOut):
                bad.append(result)
            else:
                digest, traits[digest] = result
                good.append(Sample(file, labels[file.class_name], digest))
            advance(1)
    if channels in (GRAY, RGB):
        add_known({digest: found for digest, found in traits.items() if digest not in known})
    return good, bad, traits


def _examine_each(
    files: Sequence[ImageFile], examine: Callable[[ImageFile], _Examined]
) -> Iterator[tuple[ImageFile, _Examined]]:
    pool = start_threads(min(EXAMINING_THREADS.read(), count_cores()), "examine")
    try:
        for start in range(0, len(files), _PENDING):  # A pending call needs ten times the memory of a sample.
            some = files[start : start + _PENDING]
            yield from zip(some, pool.map(examine, some), strict=True)  # Decoding releases the GIL.
    finally:
        pool.shutdown(cancel_futures=True)  # This also runs after Ctrl-C.


def _examine(keep: Views | None, known: Known, channels: int, file: ImageFile) -> _Examined:
    """Return the SHA-256 of a file that can be decoded, and its traits."""
    try:
        data = read_image(file)
        digest = hashlib.sha256(data).digest()
        if digest in known:
            return digest, known[digest]
        with decoded(data, channels=channels) as image:
            traits = measure_traits(image)
            if keep and not image.peak:  # The white level of 16-bit images is not known yet.
                keep.offer(file.split, digest, image.pixels)
    except DataError as error:
        return LeftOut(file.path, str(error))
    return digest, traits
