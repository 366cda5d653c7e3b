"""Finds installed plugins behind their entry points, and decides which of them may have a namespace."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable, Sequence

from zoo.errors import NameNotFound, PluginError
from zoo.plugin.fields import NAMESPACE
from zoo.registry.entry_points import EntryPoint, list_installed
from zoo.registry.isolation import describe_in_one_line
from zoo.registry.load_plugin import Plugin, load_plugin

#: Namespaces that only these distributions may claim.
FIRST_PARTY = {"torchvision": "zoo-torchvision", "timm": "zoo-timm", "tiny": "zoo-tiny"}

Claim = tuple[Plugin, EntryPoint]


def discover_plugins() -> list[Plugin]:
    """Find and load all installed plugins that the environment allows, sorted by namespace."""
    claims, damaged = _scan()
    for namespace, claimants in claims.items():
        _load_claims(namespace, claimants)
    found = [plugin for claimants in claims.values() for plugin, _ in claimants]
    return sorted([*found, *damaged], key=lambda plugin: (plugin.namespace, plugin.distribution))


def find_claims(namespace: str) -> list[Claim]:
    """Find the installed plugins that claim a namespace, without loading any of them.

    Raises:
        NameNotFound: none does, or it is switched off; the message lists the namespaces that are claimed.
    """
    claims, _ = _scan()
    if namespace not in claims:
        known = ", ".join(sorted(claims)) or "none"
        raise NameNotFound(f"no plugin {namespace!r} is installed; installed are {known}.")
    allowed = [claim for claim in claims[namespace] if is_allowed(claim[0])]
    if not allowed:
        raise NameNotFound(f"the plugin {namespace} is {SWITCHED_OFF}")
    return allowed


def _scan() -> tuple[dict[str, list[Claim]], list[Plugin]]:
    """Read what all installed distributions claim; returns the claims by namespace, and what is damaged."""
    claims: defaultdict[str, list[Claim]] = defaultdict(list)
    damaged: list[Plugin] = []
    seen: set[str] = set()
    for installed in list_installed():
        # Most distributions have no plugin: look before their metadata is read.
        if not installed.may_hold_plugin():
            continue
        name, version = canonicalize(installed.find_name()), installed.find_version()
        known_by = name or installed.find_place()
        if known_by in seen:
            continue  # an older copy, further down the path, or the same one again
        seen.add(known_by)
        try:
            for entry_point in installed.list_entry_points():
                claims[entry_point.name].append((Plugin(entry_point.name, name or "unknown", version), entry_point))
        except (PluginError, UnicodeDecodeError) as error:
            damaged.append(_describe_damaged(name or "unknown", version, error))
    return claims, damaged


def _describe_damaged(name: str, version: str, error: Exception) -> Plugin:
    plugin = Plugin(name, name, version)
    if is_allowed(plugin):
        plugin.fail("broken", f"its installation is damaged: {describe_in_one_line(error)}")
    else:
        plugin.fail("disabled", SWITCHED_OFF)
    return plugin


def _load_claims(namespace: str, claims: Sequence[Claim]) -> None:
    """Load the one plugin that may have the namespace, and say why the others may not."""
    contenders = [plugin.distribution for plugin, _ in claims if is_allowed(plugin)]
    for plugin, entry_point in claims:
        if not is_allowed(plugin):
            plugin.fail("disabled", SWITCHED_OFF)
        elif not NAMESPACE.fullmatch(namespace):
            plugin.fail("broken", f"{namespace!r} is no namespace: use lower-case letters, digits, '_' and '-'.")
        elif (rightful := FIRST_PARTY.get(namespace, plugin.distribution)) != plugin.distribution:
            plugin.fail("conflict", f"the namespace {namespace} belongs to {rightful}; choose another one.")
        elif namespace not in FIRST_PARTY and len(contenders) > 1:
            plugin.fail("conflict", f"{' and '.join(contenders)} claim the same namespace; disable one of them.")
        else:
            load_plugin(plugin, entry_point.load)


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
