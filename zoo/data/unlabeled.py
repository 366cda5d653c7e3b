"""List the images that a finished run predicts. They need no labels."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from zoo.data.sources.archive import is_archive_name
from zoo.data.sources.cached import unpack
from zoo.data.sources.entries import IMAGE_SUFFIXES, is_link
from zoo.data.sources.table import list_paths
from zoo.data.sources.table_rows import is_table_name
from zoo.data.sources.walk import walk_files
from zoo.errors import DataError
from zoo.files.paths import accessing

if TYPE_CHECKING:
    from zoo.progress import Progress


def list_unlabeled(path: Path, progress: Progress) -> Sequence[tuple[Path, str | None]]:
    """List an image, or all files of a folder, a table or an archive.

    Args:
        path: The image, folder, table or archive.
        progress: Where to report that an archive is unpacked.

    Returns:
        The path of each file, and the reason why it cannot be used, or None if it may be an image.

    Raises:
        DataError: If the path does not exist, contains no images, or cannot be read.
    """
    with accessing(path, DataError, "pass an image or a folder of images"):
        is_folder = path.is_dir()
        if not is_folder and not path.exists():
            if is_link(path):  # A pattern such as `photos/*` also matches links to files that are gone.
                return [(path, "a link whose target does not exist")]
            raise DataError(f"{path} does not exist.")
    if is_folder:
        files = sorted(walk_files(path), key=lambda item: item[0])
    elif is_table_name(path.name):
        files = list_paths(path)
    elif is_archive_name(path.name):
        files = sorted(walk_files(unpack(path, progress)), key=lambda item: item[0])
    else:
        return [(path, None)]
    if all(reason for _, reason in files):
        raise DataError(f"no images in {path}; zoo reads {' '.join(IMAGE_SUFFIXES)}.")
    return files
