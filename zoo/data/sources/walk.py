"""Find all files in a folder and its subfolders.

Links are followed, except for links that could add half of the disk: a link to a folder that contains the link, and a
link to a folder outside.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from zoo.data.sources.entries import find_reason, find_unsupported, is_inside, is_link, list_entries


def walk_files(
    top: Path, *, roots: Sequence[str] = (), visited: set[str] | None = None
) -> Iterator[tuple[Path, str | None]]:
    """Yield every file in a folder and its subfolders, with the reason why it cannot be used, or None if it can.

    Folders that are skipped are also yielded, with the reason, and so are empty folders that are named like an image.

    Args:
        top: The folder.
        roots: Real paths of folders that links may lead into, in addition to ``top``.
        visited: Real paths of folders that are not entered again; each folder that is entered is added.

    Raises:
        DataError: If a folder cannot be read.
    """
    visited = set() if visited is None else visited
    inside = (*roots, os.path.realpath(top))
    visited.add(inside[-1])
    pending = [top]
    while pending:
        folder = pending.pop()
        entries = list_entries(folder)
        if find_unsupported(folder) is None and not (entries.folders or entries.files):
            yield folder, "a folder, not an image"
        yield from ((item.path, item.reason) for item in entries.left_out)
        yield from ((path, find_reason(path)) for path in entries.files)
        for path in entries.folders:
            real_path = os.path.realpath(path)
            if real_path in visited:
                yield path, "a link to a folder that is already listed"
            elif is_link(path) and not any(is_inside(real_path, root) for root in inside):
                yield path, "a link to a folder outside the data folder"
            else:
                visited.add(real_path)
                pending.append(path)
