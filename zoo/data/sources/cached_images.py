"""Write images that are not files, such as a map-style data set's, to image files in the cache folder."""

from __future__ import annotations

import hashlib
import io
import json
import os
import secrets
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo.data.file_kinds import is_avif, is_heic
from zoo.errors import DataError
from zoo.files.atomic import publish
from zoo.files.cache import cache_folder, writing_cache
from zoo.files.leftovers import lock_path
from zoo.files.partial import PREFIX

if TYPE_CHECKING:
    from PIL.Image import Image

    from zoo.progress import Progress

#: Version of the rules for images and their tables. Increase it when the rules change. Images that older rules accepted
#: are then not used any longer.
RULES = 2
#: Name of the table in a folder of cached images.
TABLE = "images.jsonl"
#: Suffix by the first bytes of a file.
_SUFFIXES = {
    b"\xff\xd8\xff": ".jpg",
    b"\x89PNG": ".png",
    b"RIFF": ".webp",
    b"GIF8": ".gif",
    b"BM": ".bmp",
    b"II*\0": ".tif",
    b"MM\0*": ".tif",
}


@dataclass(frozen=True, slots=True)
class CachedImage:
    """An image to be written."""

    #: Bytes of an image file, a PIL image, an array of shape (height, width) or (height, width, channels), or a tensor
    #: of shape (channels, height, width).
    image: Any
    label: str
    split: str | None = None
    #: Suffix of the file if its type is unknown; None means that an unknown type is an error.
    suffix: str | None = None
    #: Group of the image; empty if it has none, None if no image has one.
    group: str | None = None
    #: Loss weight of the image; None if no image has one.
    weight: float | None = None


def cache_images(
    images: Iterable[CachedImage], total: int | None, progress: Progress, *, key: str | None = None
) -> Path:
    """Write images to the cache folder and return the path of the table that lists them.

    The same images with the same labels are kept only once.

    Args:
        images: Images to be written.
        total: Number of images, or None if it is unknown.
        progress: Where to report progress.
        key: Digest of everything that the images depend on. If they were already written, they are not read again. None
            means that they must be read to find out.

    Raises:
        CacheError: If the cache folder cannot be written.
        DataError: If an image is of an unknown type, or has values that are not pixels.
    """
    folder = cache_folder() / "data"
    if key is None:
        return _write(folder, images, total, progress)
    if found := find_cached(key):
        return found
    from filelock import FileLock  # Importing it takes 0.1 s, and the images are usually cached.

    lock = lock_path(folder / _name_folder(key))
    with writing_cache(folder):
        lock.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(lock, mode=0o666):  # Only one process, such as one of several ranks, writes them; the others wait.
        return find_cached(key) or _write(folder, images, total, progress, key)


def _write(
    folder: Path, images: Iterable[CachedImage], total: int | None, progress: Progress, key: str | None = None
) -> Path:
    partial = folder / f"{PREFIX}{os.getpid()}-{secrets.token_hex(4)}"
    try:
        with writing_cache(folder):
            partial.mkdir(parents=True)
        digest = _write_images(images, total, partial, progress)
        name = _name_folder(key or digest)
        with writing_cache(folder):
            publish(partial, folder / name)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return folder / name / TABLE


def _write_images(images: Iterable[CachedImage], total: int | None, folder: Path, progress: Progress) -> str:
    """Write images and their table, and return the SHA-256 of both."""
    digest = hashlib.sha256()
    with writing_cache(folder.parent):
        table = (folder / TABLE).open("w", encoding="utf-8")
    with table, progress.track("reading images", total) as advance:
        for number, item in enumerate(images):
            data = _encode(number, item.image)
            name = f"{number:07}{_find_suffix(number, data, item.suffix)}"
            optional = {"split": item.split or None, "group": item.group, "sample_weight": item.weight}
            present = {role: value for role, value in optional.items() if value is not None}
            row = json.dumps({"path": name, "label": item.label, **present})
            digest.update(hashlib.sha256(data).digest() + row.encode())
            with writing_cache(folder.parent):  # but not around the next item, whose source may be at fault
                (folder / name).write_bytes(data)
                table.write(f"{row}\n")
            advance(1)
        with writing_cache(folder.parent):
            table.flush()
    return digest.hexdigest()


def find_cached(key: str) -> Path | None:
    """Return the table of the images that were written with a key; None if they were not."""
    table = cache_folder() / "data" / _name_folder(key) / TABLE
    return table if table.is_file() else None


def _name_folder(key: str) -> str:
    return f"{key}-{RULES}"


def _find_suffix(number: int, data: bytes, default: str | None) -> str:
    for start, suffix in _SUFFIXES.items():
        if data.startswith(start):
            return suffix
    if is_heic(data) or is_avif(data):
        return ".heic" if is_heic(data) else ".avif"
    if default:
        return default
    raise DataError(f"image {number} is of an unknown file type; it begins with {data[:8]!r}")


def _encode(number: int, image: Any) -> bytes:
    """Return the bytes of an image file; pixels are written as PNG, which is lossless."""
    if isinstance(image, bytes):
        return image
    file = io.BytesIO()
    try:
        _to_pil(number, image).save(file, "PNG", compress_level=1)
    except (OSError, ValueError) as error:
        raise DataError(f"image {number} cannot be written as PNG: {error}") from error
    return file.getvalue()


def _to_pil(number: int, image: Any) -> Image:
    from PIL import Image as PillowImage
    from PIL import ImageOps

    if isinstance(image, PillowImage.Image):
        upright = ImageOps.exif_transpose(image)  # as for image files; PNG files would lose the orientation
        return upright.convert("RGB") if upright.mode in ("CMYK", "YCbCr", "HSV") else upright
    array = _to_array(image)
    if array is None or array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (1, 3, 4)):
        shape = f" of shape {tuple(image.shape)}" if hasattr(image, "shape") else ""
        raise DataError(f"image {number} is a {type(image).__name__}{shape}, not an image")
    if array.dtype.kind == "f" and 0 <= array.min() <= array.max() <= 1:  # also refuses NaN
        array = (array * 255).round().astype("uint8")
    if array.dtype != "uint8":
        raise DataError(
            f"image {number} has values of type {array.dtype} from {array.min():g} to {array.max():g}; pixels must be "
            "uint8, or between 0 and 1. Remove transforms that normalize the images; zoo normalizes them itself"
        )
    return PillowImage.fromarray(array[:, :, 0] if array.ndim == 3 and array.shape[2] == 1 else array)


def _to_array(image: Any) -> Any:
    """Return an array of shape (height, width[, channels]); None if the object is neither an array nor a tensor."""
    import numpy as np
    from torch import Tensor

    if isinstance(image, Tensor):
        array = image.detach().cpu().numpy()
        return array.transpose(1, 2, 0) if array.ndim == 3 else array
    return image if isinstance(image, np.ndarray) and image.size else None
