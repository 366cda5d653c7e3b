"""Which files come with a plugin, wherever it is installed."""

from __future__ import annotations

import importlib.metadata
import importlib.util
from pathlib import Path

from zoo.registry.discovery import get_claims


def is_shipped(namespace: str, file: Path) -> bool:
    """Tell whether a file belongs to the plugin of a namespace: elsewhere only this machine has it."""
    found = file.resolve()
    for plugin, entry_point in get_claims(namespace):
        distribution = importlib.metadata.distribution(plugin.distribution)
        if any(Path(str(part.locate())).resolve() == found for part in distribution.files or ()):
            return True
        # An installation that can be edited lists no files; its package is its wheel.
        package = importlib.util.find_spec(entry_point.module.partition(".")[0])
        folders = (package and package.submodule_search_locations) or ()
        if any(found.is_relative_to(Path(folder).resolve()) for folder in folders):
            return True
    return False
