"""The contents of a folder: subfolders, files, and entries that are skipped because of their names."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path

from zoo.data.listing import LeftOut
from zoo.errors import DataError

_JPEG_SUFFIXES = (".jpg", ".jpeg", ".jpe", ".jfif")
IMAGE_SUFFIXES = (*_JPEG_SUFFIXES, ".png", ".gif", ".webp", ".avif", ".heic", ".heif", ".bmp", ".tif", ".tiff", ".npy")
#: Suffixes of images in shards, where a .npy file usually holds features of the image with the same name.
SHARD_SUFFIXES = IMAGE_SUFFIXES[:-1]

#: Files and folders that operating systems, network drives and tools add, in lowercase.
_SYSTEM_NAMES = {
    "__macosx",
    "__pycache__",
    "@eadir",
    "@recycle",
    "@recently-snapshot",
    "#recycle",
    "#snapshot",
    "$recycle.bin",
    "system volume information",
    "lost+found",
    "thumbs.db",
    "desktop.ini",
}
#: A run folder of zoo contains this file, and one of the others: the first one until the run is finished, then the
#: second one. A run that has just begun contains nothing else.
_HISTORY, _RUN_NAMES = "history.jsonl", ("checkpoints", "run.json")
#: The folder of a cross-validation contains this run folder.
_FIRST_FOLD = "fold-1"


@dataclass(frozen=True, slots=True)
class Entries:
    """The contents of a folder, sorted by name."""

    folders: tuple[Path, ...]
    files: tuple[Path, ...]
    #: Hidden folders, hidden images, system folders and run folders. Other hidden or system files are not listed.
    left_out: tuple[LeftOut, ...]


def list_entries(folder: Path) -> Entries:
    """List a folder.

    Raises:
        DataError: If the folder cannot be read.
    """
    try:
        with os.scandir(folder) as found:
            entries = sorted((entry.name, _is_folder(entry)) for entry in found)
    except OSError as error:
        raise make_access_error("list", folder, error) from error
    folders, files, left_out = [], [], []
    for name, is_folder in entries:
        path = folder / name
        if is_folder and (reason := _find_folder_reason(path)):
            left_out.append(LeftOut(path, reason))
        elif is_folder:
            folders.append(path)
        elif name.startswith(".") and path.suffix.lower() in IMAGE_SUFFIXES:
            left_out.append(LeftOut(path, "hidden file"))
        elif not name.startswith(".") and name.lower() not in _SYSTEM_NAMES:
            files.append(path)
    return Entries(tuple(folders), tuple(files), tuple(left_out))


def make_access_error(verb: str, path: Path, error: OSError) -> DataError:
    """Return the error for a path that cannot be listed or opened."""
    return DataError(f"cannot {verb} {str(path)!r}: {error.strerror or error}; change its permissions or remove it.")


def is_inside(path: str, folder: str) -> bool:
    """Return whether a real path is the folder itself or inside it."""
    return Path(path).is_relative_to(folder)


def is_link(path: Path) -> bool:
    """Return whether a path is a link; False if its folder is not accessible, because listing it reports the reason."""
    return os.path.islink(path)  # noqa: PTH114  # Path.is_symlink raises PermissionError


def _is_folder(entry: os.DirEntry[str]) -> bool:
    if not entry.is_symlink():
        return entry.is_dir()
    try:
        return stat.S_ISDIR(Path(entry.path).stat().st_mode)
    except PermissionError as error:
        raise make_access_error("open", Path(entry.path), error) from error
    except OSError:  # The link is broken, or leads to itself.
        return False


def _find_folder_reason(path: Path) -> str | None:
    if is_link(path) and is_inside(os.path.realpath(path.parent), os.path.realpath(path)):
        return "a link to a folder that contains it"
    if path.name.startswith("."):
        return "hidden folder"
    if path.name.lower() in _SYSTEM_NAMES:
        return "system folder"
    if _is_run(path) or _contains_runs(path):
        return "run folder"
    return None


def _is_run(path: Path) -> bool:
    """Return whether a folder is the run folder of a run or of a cross-validation."""
    return _is_single_run(path) or _is_single_run(path / _FIRST_FOLD)


def _is_single_run(path: Path) -> bool:
    if not os.path.isfile(path / _HISTORY):  # noqa: PTH113  # Unlike Path.is_file, it returns False for a closed folder.
        return False
    names = os.listdir(path)  # noqa: PTH208
    return names == [_HISTORY] or any(name in names for name in _RUN_NAMES)


def _contains_runs(path: Path) -> bool:
    """Return whether a folder contains runs and nothing else, or is named ``runs`` and contains a run."""
    try:
        with os.scandir(path) as found:
            are_runs = (entry.is_dir() and _is_run(Path(entry.path)) for entry in found)
            if path.name == "runs":
                return any(are_runs)
            first = next(are_runs, False)
            return first and all(are_runs)
    except OSError:  # Listing the folder reports the reason.
        return False


def find_reason(path: Path) -> str | None:
    """Return why a file cannot be used, based only on its name and type, or None if it can be used.

    Raises:
        DataError: If the folder of the file cannot be accessed.
    """
    if reason := find_unsupported(path):
        return reason
    try:
        mode = path.stat().st_mode
    except PermissionError as error:
        raise make_access_error("open", path, error) from error
    except OSError as error:
        return f"cannot be opened: {error.strerror}"
    return None if stat.S_ISREG(mode) else "not a regular file"  # Opening a named pipe would block forever.


def find_unsupported(path: Path | str) -> str | None:
    """Return why a file cannot be used, based only on its suffix, or None if it can be used."""
    suffix = os.path.splitext(path)[1]  # noqa: PTH122  # a path object takes long for a million rows of a table
    if suffix.lower() in IMAGE_SUFFIXES:
        return None
    return f"unsupported file type {suffix or '(no suffix)'} (zoo reads {' '.join(IMAGE_SUFFIXES)})"
