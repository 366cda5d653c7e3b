"""Data sets that are too large to be examined before the first step. They are examined during the first epoch.

Until then, an image is identified by its name and by the size and modification time of its file.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections import Counter
from collections.abc import Collection, Mapping, Sequence

from zoo.data.collector import pausing_collector
from zoo.data.examination.findings import Finding
from zoo.data.examination.kinds import MISSING_CLASS
from zoo.data.listing import ImageFile, LeftOut
from zoo.data.sample import Sample
from zoo.errors import DataError
from zoo.files.limits import IMAGE_BYTES
from zoo.progress import Progress

#: Number of files between two updates of the progress bar.
_EVERY = 1000
#: Whether the system can check access as `open` does. Otherwise it checks it for the user who started the process.
_EFFECTIVE_IDS = os.access in os.supports_effective_ids


@pausing_collector()
def find_files(
    files: Sequence[ImageFile], labels: Mapping[str, int], progress: Progress
) -> tuple[list[Sample], list[LeftOut]]:
    """Return the files that can be opened, in the given order, and those that cannot, without reading any of them.

    Args:
        files: Files to be found.
        labels: Label of each class.
        progress: Where to report progress.
    """
    good: list[Sample] = []
    bad: list[LeftOut] = []
    most = IMAGE_BYTES.read()
    with progress.track("finding images", len(files)) as advance:
        for number, file in enumerate(files, 1):
            try:
                good.append(Sample(file, labels[file.class_name], identify(file, most), is_examined=False))
            except DataError as error:
                bad.append(LeftOut(file.path, str(error)))
            if number % _EVERY == 0:
                advance(_EVERY)
        advance(len(files) % _EVERY)
    return good, bad


def identify(file: ImageFile, most: int | None = None) -> bytes:
    """Return a digest that changes if an image's file or shard changes.

    Args:
        file: The image.
        most: Maximum size of the image in bytes; None means that any size is allowed.

    Raises:
        DataError: If there is no such file, it cannot be opened, or the image is too large. The message contains the
            reason but not the path.
    """
    try:
        # Path objects would take most of the time.
        path = file.span.shard if file.span else os.path.join(file.folder, file.location)  # noqa: PTH118
        status = os.stat(path)  # noqa: PTH116
    except FileNotFoundError as error:
        raise DataError("there is no such file") from error
    except OSError as error:
        raise DataError(f"{error.strerror or error}") from error
    if not stat.S_ISREG(status.st_mode):
        raise DataError("it is not a file")
    if not os.access(path, os.R_OK, effective_ids=_EFFECTIVE_IDS):
        raise DataError(os.strerror(errno.EACCES))
    size, offset = (file.span.size, file.span.offset) if file.span else (status.st_size, 0)
    if most is not None and size > most:
        raise DataError(f"it has {IMAGE_BYTES.explain(size)}")
    about = f"{file.class_name}\0{file.name}\0{size}\0{offset}\0{status.st_size}\0{status.st_mtime_ns}"
    return hashlib.sha256(about.encode("utf-8", "surrogatepass")).digest()


def list_emptied(samples: Sequence[Sample], unreadable: Collection[str]) -> list[Finding]:
    """Return a finding for each class of a split none of whose images can be read.

    Args:
        samples: Images of the split.
        unreadable: Paths of the images that turned out to be unreadable.
    """
    left = Counter(sample.file.class_name for sample in samples)
    left.subtract(sample.file.class_name for sample in samples if str(sample.path) in unreadable)
    return [
        Finding(MISSING_CLASS, samples[0].file.split, name, None) for name, count in sorted(left.items()) if not count
    ]
