"""List the images of a torchvision data set: ``torchvision:CIFAR10`` or ``torchvision:OxfordIIITPet:category``.

torchvision downloads the data set into zoo's cache folder, where it appears only when it is complete. Image files are
used in place. All other images are converted once to PNG files beside the data set.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from dataclasses import replace
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo.data.sources.archive import is_archive_name
from zoo.data.sources.cached_images import CachedImage, cache_images, find_cached
from zoo.data.sources.table import list_rows, list_table
from zoo.data.sources.torchvision_catalog import Entry, find_entry
from zoo.errors import DataError, DownloadError
from zoo.files.atomic import atomic_write
from zoo.files.cache import cache_folder, writing_cache
from zoo.files.download import is_offline
from zoo.files.leftovers import lock_path, remove_leftovers

if TYPE_CHECKING:
    from zoo.data.listing import Listing
    from zoo.data.sources.table_rows import Row
    from zoo.progress import Progress
    from zoo.registry.data_options import DataOptions


def check_torchvision(value: str) -> None:
    """Check a name without downloading anything.

    Raises:
        DataError: If zoo cannot use a data set of this name, or a package is missing.
    """
    name, _, entry = find_entry(value)
    if entry.needs_scipy and find_spec("scipy") is None:
        raise DataError(f"torchvision needs scipy to read {name}; install zoo-backbones[scipy].")


def list_torchvision(value: str, options: DataOptions, progress: Progress) -> Listing:
    """List the images of a data set. They are downloaded the first time.

    Args:
        value: Name of the data set, with an optional ``:`` and the kind of its labels.
        options: Whether the images need labels.
        progress: Where to report progress.

    Raises:
        DataError: If there is no such data set, or it cannot be read.
        DownloadError: If it cannot be downloaded.
    """
    name, kind, entry = find_entry(value)
    if entry.reads == "pixels":
        listing = list_table(_write_pixels(name, entry, progress), options)
    else:
        folder = _download(name, entry, progress)
        with _reading(name):
            rows = list(_read_paths(_open_all(name, folder, entry), entry, kind, folder))
        listing = list_rows(iter(rows), folder, options, origin=f"torchvision:{name}", split=None)
    source = {"name": f"torchvision:{name}", "version": version("torchvision")}
    return replace(listing, notes=(), source=source)


def _write_pixels(name: str, entry: Entry, progress: Progress) -> Path:
    """Return a table of PNG files. They are written the first time."""
    key = hashlib.sha256(f"torchvision\0{name}".encode()).hexdigest()
    if table := find_cached(key):
        return table
    folder = _download(name, entry, progress)
    with _reading(name):
        parts = _open_all(name, folder, entry)
        images = (image for split, part in parts.items() for image in _read_pixels(part, split))
        return cache_images(images, sum(len(part) for part in parts.values()), progress, key=key)


def _open_all(name: str, folder: Path, entry: Entry) -> dict[str, Any]:
    return {split: _open(name, folder, entry, arguments) for split, arguments in entry.splits.items()}


def _download(name: str, entry: Entry, progress: Progress) -> Path:
    """Return the folder of a data set. It is downloaded if it does not exist yet."""
    from filelock import FileLock

    folder = cache_folder() / "data" / f"torchvision-{name}"
    if folder.is_dir():
        return folder
    if is_offline():
        raise DownloadError(f"Cannot fetch torchvision:{name}: ZOO_OFFLINE is set, and it is not in {folder.parent}")
    remove_leftovers()
    lock = lock_path(folder)
    with writing_cache(folder.parent):
        folder.parent.mkdir(parents=True, exist_ok=True)
        lock.parent.mkdir(exist_ok=True)
        with FileLock(lock, mode=0o666):  # Only one process downloads the data set; the others wait.
            if not folder.is_dir():
                progress.say(f"torchvision downloads {name}")
                _download_whole(name, folder, entry)
    return folder


def _download_whole(name: str, folder: Path, entry: Entry) -> None:
    """Download all splits. torchvision would mistake the files of an interrupted download for a complete data set."""
    with atomic_write(folder) as partial:
        partial.mkdir()
        try:
            with redirect_stdout(sys.stderr):  # stdout is reserved for the result of the command
                for arguments in entry.splits.values():
                    _open(name, partial, entry, {**arguments, "download": True})
        except Exception as error:  # torchvision raises exceptions of many types.
            reason = " ".join(f"{type(error).__name__}: {error}".split())
            raise DownloadError(f"Cannot fetch torchvision:{name}: {reason}. Try again") from error
        for path in partial.rglob("*"):
            if is_archive_name(path.name) and path.is_file():
                path.unlink()  # It has been unpacked and would only take up space.


def _open(name: str, folder: Path, entry: Entry, arguments: Mapping[str, Any]) -> Any:
    from torchvision import datasets  # type: ignore[import-untyped]  # torchvision has no types

    loader = {"loader": str} if entry.reads == "loader" else {}  # returns the path instead of the image
    return getattr(datasets, name)(folder, **arguments, **loader)


@contextmanager
def _reading(name: str) -> Iterator[None]:
    try:
        yield
    except (OSError, MemoryError):
        raise
    except DataError as error:
        raise DataError(f"cannot use torchvision:{name}: {error}.") from error
    except Exception as error:  # torchvision raises exceptions of many types.
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        folder = cache_folder() / "data" / f"torchvision-{name}"
        raise DataError(f"cannot read torchvision:{name}: {reason}. Remove {folder} to download it again.") from error


def _read_pixels(part: Any, split: str) -> Iterator[CachedImage]:
    names = getattr(part, "classes", None)
    for number in range(len(part)):
        image, label = part[number]
        yield CachedImage(image, _name_class(names, int(label)), split or None)


def _read_paths(parts: Mapping[str, Any], entry: Entry, kind: str, folder: Path) -> Iterator[Row]:
    """Yield the rows of a table of the paths and the labels."""
    yield 0, ["path", "label", *(["split"] if "" not in parts else [])]
    number = 0
    pairs: Iterable[tuple[Any, Any]]
    for split, part in parts.items():
        if entry.reads == "attribute":
            labels, classes = entry.labels[kind]
            paths = part._images  # noqa: SLF001  # no public attribute contains the paths
            names, pairs = getattr(part, classes), zip(paths, getattr(part, labels), strict=True)
        else:
            names, pairs = part.classes, (part[index] for index in range(len(part)))
        for path, label in pairs:
            number += 1
            yield (
                number,
                [
                    Path(path).relative_to(folder).as_posix(),
                    _name_class(names, int(label)),
                    *([split] if split else []),
                ],
            )


def _name_class(names: Any, label: int) -> str:
    """Return the class name, or the number if the data set has no class names. Some classes have several names.

    The name is empty if the label is -1, which means that the image has no label.

    Raises:
        DataError: If no class has this number.
    """
    if label == -1:
        return ""
    if label < 0 or (names and label >= len(names)):
        known = f"its {len(names)} classes are numbered from 0" if names else "classes are numbered from 0"
        raise DataError(f"an image has the label {label}, but {known}")
    name = names[label] if names else label
    return name[0] if isinstance(name, tuple) else str(name)
