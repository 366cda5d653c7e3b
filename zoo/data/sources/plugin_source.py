"""Call the plugin function that finds the images of ``PREFIX:NAME``, and check what it returns."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from os import PathLike, fspath
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo.data.sources.table_rows import Row
from zoo.errors import PluginError
from zoo.files.cache import cache_folder, writing_cache
from zoo.registry.plugins.isolation import naming_place

if TYPE_CHECKING:
    from zoo.plugin import SourceSpec


def get_folder(spec: SourceSpec, name: str) -> Path:
    """Return the subfolder of the cache folder in which a plugin keeps the images of a source."""
    key = hashlib.sha256(f"source\0{spec.prefix}:{name}".encode()).hexdigest()
    return cache_folder() / "data" / key


def fetch_images(spec: SourceSpec, name: str) -> Path | list[Row]:
    """Return the folder, table or archive of a source, or the rows of a table with a path, a label and a split.

    The paths in the rows are relative to the folder of the source, if they are inside.

    Raises:
        PluginError: If the plugin's function fails, or returns something else.
    """
    value = f"{spec.prefix}:{name}"
    folder = get_folder(spec, name)
    with writing_cache(folder):
        folder.mkdir(parents=True, exist_ok=True)
    with naming_place(f"the images of {value!r} cannot be fetched"):
        result = spec.fetch(name, folder)
        if isinstance(result, (str, PathLike)):
            return Path(fspath(result))
        if not isinstance(result, Iterable):
            raise PluginError(
                f"the function for {value!r} returns {result!r:.80}; it must be a path or (path, label)s."
            )
        return list(_read_rows(value, result, folder))


def _read_rows(value: str, result: Iterable[Any], folder: Path) -> Iterator[Row]:
    width = 0
    for number, item in enumerate(result, 1):
        is_row = isinstance(item, (tuple, list)) and len(item) in (2, 3) and isinstance(item[0], (str, PathLike))
        if not is_row or not all(isinstance(part, str) for part in item[1:]) or width not in (0, len(item)):
            raise PluginError(
                f"the function for {value!r} returns {item!r:.80} as item {number - 1}; it must be (path, label) or "
                "(path, label, split), the same for all images."
            )
        if not width:
            width = len(item)
            yield 0, ["path", "label", "split"][:width]
        path = Path(item[0])  # Names relative to the folder do not depend on the machine.
        yield number, [str(path.relative_to(folder) if path.is_relative_to(folder) else path), *item[1:]]
