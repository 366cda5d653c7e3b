"""The contents of a folder: subfolders, files, and what is left out because of its name."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from zoo.data.listing import LeftOut
from zoo.errors import DataError

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff")

#: Files and folders that operating systems, network drives and tools add, in lowercase.
_SYSTEM_NAMES = {
    "__macosx",
    "__pycache__",
    "@eadir",
    "#recycle",
    "$recycle.bin",
    "system volume information",
    "lost+found",
    "thumbs.db",
    "desktop.ini",
}
#: Files that exist in every run folder of zoo.
_RUN_FILES = ("run.json", "history.jsonl")


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
        raise DataError(f"cannot list {str(folder)!r}: {error.strerror or error}.") from error
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


def _is_folder(entry: os.DirEntry[str]) -> bool:
    # Path.is_dir() is False for a link that leads to itself; entry.is_dir() is faster, but raises an exception then.
    return Path(entry.path).is_dir() if entry.is_symlink() else entry.is_dir()


def _find_folder_reason(path: Path) -> str | None:
    if path.name.startswith("."):
        return "hidden folder"
    if path.name.lower() in _SYSTEM_NAMES:
        return "system folder"
    if _is_run(path) or (path.name == "runs" and any(map(_is_run, path.iterdir()))):
        return "run folder"
    return None


def _is_run(path: Path) -> bool:
    return all((path / name).is_file() for name in _RUN_FILES)


def find_reason(path: Path) -> str | None:
    """Return why a file cannot be used, based only on its name and type, or None if it can be used."""
    if reason := find_unsupported(path):
        return reason
    try:
        path.stat()
    except OSError as error:
        return f"cannot be opened: {error.strerror}"
    return None if path.is_file() else "not a regular file"  # Opening a named pipe would block forever.


def find_unsupported(path: Path) -> str | None:
    """Return why a file cannot be used, based only on its suffix, or None if it can be used."""
    if path.suffix.lower() in IMAGE_SUFFIXES:
        return None
    return f"unsupported file type {path.suffix or '(no suffix)'} (zoo reads {' '.join(IMAGE_SUFFIXES)})"
