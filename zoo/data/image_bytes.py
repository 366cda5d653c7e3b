"""Read the bytes of an image from a file or from part of a shard."""

from __future__ import annotations

import os
from pathlib import Path

from zoo.data.listing import ImageFile, Span
from zoo.errors import DataError
from zoo.files.limits import IMAGE_BYTES


def read_image(file: ImageFile) -> bytes:
    """Return the bytes of an image. Raises DataError; the message contains the reason but not the path."""
    return read_image_file(file.path) if file.span is None else read_image_file(file.span.shard, file.span)


def read_image_file(path: Path, span: Span | None = None) -> bytes:
    """Return the bytes of a regular file, or of part of it.

    Raises:
        DataError: If the file cannot be read, is too large, or is too short. The message contains the reason but not
            the path.
    """
    try:
        if not path.is_file():  # Opening a named pipe would block forever.
            raise DataError("it is not a file" if path.exists() else "there is no such file")
        with path.open("rb") as file:
            status = os.fstat(file.fileno())
            if span and span.state not in (None, (status.st_size, status.st_mtime_ns)):
                raise DataError("the shard changed after its images were listed")
            size = span.size if span else status.st_size
            if size > IMAGE_BYTES.read():
                raise DataError(f"it has {IMAGE_BYTES.explain(size)}")
            if span:
                file.seek(span.offset)
            data = file.read(size)
    except OSError as error:
        raise DataError(f"{error.strerror or error}") from error
    if span and len(data) < size:
        raise DataError("the shard is shorter than its index says")
    return data
