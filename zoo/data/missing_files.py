"""Explain why images of a table do not exist: its paths are relative to its folder, not to the working directory."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from zoo.data.listing import ImageFile


def explain_missing(files: Iterable[ImageFile]) -> str:
    """Return the end of a message about images that cannot be used; it is empty if all of them exist.

    Folders and archives list only files that exist, so the missing files are those of a table.
    """
    for file in files:
        if file.span is None and not Path(file.location).is_absolute() and not _exists(file.path):
            hint = f"; the paths in a table are relative to the table's folder, {str(file.folder)!r}"
            if _exists(Path(file.location)):
                hint += f", but {file.location!r} exists in the working directory; move the table there"
            return hint
    return ""


def _exists(path: Path) -> bool:
    return os.path.exists(path)  # noqa: PTH110  # unlike Path.exists, it accepts a name that is too long
