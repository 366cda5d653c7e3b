"""Which files come with a plugin, wherever it is installed."""

from __future__ import annotations

import importlib.metadata
import importlib.util
from collections.abc import Iterator
from pathlib import Path

from zoo.registry.discovery import find_claims


def is_shipped(namespace: str, file: Path) -> bool:
    """Tell whether a file belongs to the plugin of a namespace: elsewhere only this machine has it."""
    found = file.resolve()
    for plugin, entry_point in find_claims(namespace):
        distribution = importlib.metadata.distribution(plugin.distribution)
        if any(Path(str(part.locate())).resolve() == found for part in distribution.files or ()):
            return True
        # An installation that can be edited lists no files; its package is its wheel.
        if any(found.is_relative_to(folder.resolve()) for folder in _list_folders(entry_point.module)):
            return True
    return False


def _list_folders(module: str) -> Iterator[Path]:
    """List the folders of the package that a module is in."""
    spec = importlib.util.find_spec(module.partition(".")[0])
    for folder in (spec and spec.submodule_search_locations) or ():
        yield Path(folder)
