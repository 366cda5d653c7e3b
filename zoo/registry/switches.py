"""ZOO_LOAD_PLUGINS and ZOO_DISABLE_PLUGINS: which of the installed plugins may be loaded at all."""

from __future__ import annotations

import os
from collections.abc import Iterable

from zoo.registry.load_plugin import Plugin

SWITCHED_OFF = "switched off by ZOO_LOAD_PLUGINS or ZOO_DISABLE_PLUGINS."


def is_allowed(plugin: Plugin) -> bool:
    """Whether the environment lets a plugin be loaded, named by its namespace or by its distribution."""
    names = {plugin.namespace, plugin.distribution}
    wanted = os.environ.get("ZOO_LOAD_PLUGINS")
    if wanted is not None and not names & _read_names(wanted):
        return False
    return not names & _read_names(os.environ.get("ZOO_DISABLE_PLUGINS", ""))


def list_unknown_names(plugins: Iterable[Plugin]) -> list[str]:
    """List what ZOO_LOAD_PLUGINS and ZOO_DISABLE_PLUGINS name though it is not installed: misspelt, most likely."""
    known = {name for plugin in plugins for name in (plugin.namespace, plugin.distribution)}
    variables = ("ZOO_LOAD_PLUGINS", "ZOO_DISABLE_PLUGINS")
    named = {name for variable in variables for name in _split_names(os.environ.get(variable, ""))}
    return sorted(name for name in named if name not in known and canonicalize(name) not in known)


def canonicalize(distribution: str) -> str:
    """Return the name of a distribution as pip compares it."""
    return distribution.lower().replace("_", "-").replace(".", "-")


def _read_names(value: str) -> set[str]:
    return {spelling for name in _split_names(value) for spelling in (name, canonicalize(name))}


def _split_names(value: str) -> set[str]:
    return {name.strip() for name in value.split(",") if name.strip()}
