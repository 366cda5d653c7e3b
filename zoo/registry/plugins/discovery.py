"""Find the installed plugins by their entry points, and decide which plugin gets a namespace."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Collection, Sequence
from functools import partial
from importlib.metadata import Distribution, EntryPoint, distributions
from pathlib import Path

from zoo.errors import NameNotFound
from zoo.plugin.fields import NAMESPACE
from zoo.registry.plugins.crash_note import find_culprits, leaving_note
from zoo.registry.plugins.isolation import describe_in_one_line
from zoo.registry.plugins.load import Plugin, load_module, load_plugin
from zoo.registry.plugins.process_guard import LOADING

#: Entry point group of plugins. The name of an entry point is the plugin's namespace.
GROUP = "zoo"
#: Namespaces that are reserved for our own distributions.
FIRST_PARTY = {
    "torchvision": "zoo-torchvision", "timm": "zoo-timm", "tiny": "zoo-tiny", "tensorboard": "zoo-tensorboard",
    "transformers": "zoo-transformers",
}  # fmt: skip

SWITCHED_OFF = "disabled by ZOO_LOAD_PLUGINS or ZOO_DISABLE_PLUGINS."

#: A plugin that claims a namespace, and its entry point.
Claim = tuple[Plugin, EntryPoint]


def discover_plugins() -> list[Plugin]:
    """Find all installed plugins and load those that the environment variables allow.

    Returns:
        The plugins, including those that cannot be used, sorted by namespace.
    """
    with LOADING:
        return _discover()


def _discover() -> list[Plugin]:
    claims, damaged = _scan()
    chosen = {namespace: claim for namespace, found in claims.items() if (claim := _choose_claim(namespace, found))}
    culprits = find_culprits(chosen, lambda namespace: _identify(*chosen[namespace]))
    for namespace, (plugin, entry_point) in chosen.items():
        if fault := culprits.get(namespace):
            plugin.fail("broken", f"{fault}; set ZOO_DISABLE_PLUGINS={namespace} to turn it off.")
            continue
        with leaving_note(namespace):
            load_plugin(plugin, partial(load_module, entry_point))
    found = [plugin for claimants in claims.values() for plugin, _ in claimants]
    return sorted([*found, *damaged], key=lambda plugin: (plugin.namespace, plugin.distribution))


def try_plugin(namespace: str) -> None:
    """Load the plugin of a namespace, even if there is a note about it. A failure to load is not reported."""
    chosen = _choose_claim(namespace, get_claims(namespace))
    if chosen is not None:
        load_plugin(chosen[0], partial(load_module, chosen[1]))


def _identify(plugin: Plugin, entry_point: EntryPoint) -> str:
    """Return a line that changes when a plugin changes: its version, and when its files were last changed."""
    from importlib.util import find_spec

    try:
        spec = find_spec(entry_point.module.partition(".")[0])  # of the package, because that does not import it
        found = Path(spec.origin) if spec and spec.origin else None
        paths = [] if found is None else [*found.parent.rglob("*.py")] if found.name == "__init__.py" else [found]
        changed = max((path.stat().st_mtime_ns for path in paths), default=0)
    except Exception:  # noqa: BLE001  # an import hook may raise anything; then only the version counts
        changed = 0
    return f"{' '.join(plugin.version.split())} {changed}"


def get_claims(namespace: str) -> list[Claim]:
    """Return the installed plugins that claim a namespace, without loading them.

    Raises:
        NameNotFound: If no plugin claims it, or if all plugins that claim it are disabled.
    """
    claims, _ = _scan()
    if namespace not in claims:
        known = ", ".join(sorted(claims)) or "none"
        raise NameNotFound(f"no plugin {namespace!r} is installed; installed: {known}.")
    allowed = [claim for claim in claims[namespace] if is_allowed(claim[0])]
    if not allowed:
        raise NameNotFound(f"the plugin {namespace} is {SWITCHED_OFF}")
    return allowed


def _scan() -> tuple[dict[str, list[Claim]], list[Plugin]]:
    """Read the entry points of all installed distributions.

    Each distribution is read separately, because ``importlib.metadata.entry_points()`` fails if one of them is damaged.

    Returns:
        The claims by namespace, and a plugin for each damaged distribution.
    """
    claims: defaultdict[str, list[Claim]] = defaultdict(list)
    damaged: list[Plugin] = []
    seen: set[object] = set()
    for distribution in distributions():
        if not _may_contain_plugin(distribution):
            continue
        name, version = _read_identity(distribution)
        try:
            entry_points, fault = tuple(distribution.entry_points.select(group=GROUP)), ""
        except Exception as error:  # noqa: BLE001  # the parser raises errors of many types for a damaged line
            entry_points, fault = (), describe_in_one_line(error)
        # As in an import, the first copy on the path wins. Copies of a distribution without a name are recognized by
        # their entry points.
        identity = name or entry_points
        if identity in seen:
            continue
        seen.add(identity)
        if fault:
            damaged.append(_describe_damaged(name or "unknown", version, fault))
        for entry_point in entry_points:
            claims[entry_point.name].append((Plugin(entry_point.name, name or "unknown", version), entry_point))
    return claims, damaged


def _may_contain_plugin(distribution: Distribution) -> bool:
    """Return whether the entry points mention our group, so that damage in other distributions is ignored."""
    try:
        text = distribution.read_text("entry_points.txt") or ""
    except UnicodeDecodeError as error:
        return f"[{GROUP}]".encode() in error.object
    except Exception:  # noqa: BLE001  # a distribution may come from any import hook
        return False
    return f"[{GROUP}]" in text


def _read_identity(distribution: Distribution) -> tuple[str, str]:
    """Return the canonical name and the version of a distribution, each empty if the metadata lacks it."""
    try:
        metadata = distribution.metadata
        name, version = (str(metadata.get_all(field, [""])[0]) for field in ("Name", "Version"))
    except Exception:  # noqa: BLE001  # TypeError if there is no metadata, other types if it is damaged
        return "", ""
    return canonicalize(name), version


def _describe_damaged(name: str, version: str, fault: str) -> Plugin:
    plugin = Plugin(name, name, version)
    if is_allowed(plugin):
        plugin.fail("broken", f"its installation is damaged: entry_points.txt cannot be read ({fault}).")
    else:
        plugin.fail("disabled", SWITCHED_OFF)
    return plugin


def _choose_claim(namespace: str, claims: Sequence[Claim]) -> Claim | None:
    """Return the plugin that gets the namespace, and record why the others do not."""
    contenders = [plugin.distribution for plugin, _ in claims if is_allowed(plugin)]
    chosen = None
    for plugin, entry_point in claims:
        if not is_allowed(plugin):
            plugin.fail("disabled", SWITCHED_OFF)
        elif not NAMESPACE.fullmatch(namespace):
            reason = f"{namespace!r} is not a valid namespace: use lower-case letters, digits, '_' and '-'."
            plugin.fail("broken", reason)
        elif (owner := FIRST_PARTY.get(namespace, plugin.distribution)) != plugin.distribution:
            plugin.fail("conflict", f"the namespace {namespace} belongs to {owner}; choose another one.")
        elif namespace not in FIRST_PARTY and len(contenders) > 1:
            plugin.fail("conflict", f"{' and '.join(contenders)} claim the same namespace; disable one of them.")
        else:
            chosen = plugin, entry_point
    return chosen


def is_allowed(plugin: Plugin) -> bool:
    """Return whether the environment variables allow a plugin, by its namespace or by its distribution."""
    if "ZOO_LOAD_PLUGINS" in os.environ and not _is_named(plugin, "ZOO_LOAD_PLUGINS"):
        return False
    return not _is_named(plugin, "ZOO_DISABLE_PLUGINS")


def list_unknown_names(plugins: Collection[Plugin]) -> list[str]:
    """List the names in ZOO_LOAD_PLUGINS and ZOO_DISABLE_PLUGINS that no installed plugin has."""
    names = _read_names("ZOO_LOAD_PLUGINS") | _read_names("ZOO_DISABLE_PLUGINS")
    return sorted(name for name in names if not any(_is_name_of(plugin, name) for plugin in plugins))


def canonicalize(distribution: str) -> str:
    """Return a distribution's name in the form in which pip compares names."""
    return distribution.lower().replace("_", "-").replace(".", "-")


def _is_named(plugin: Plugin, variable: str) -> bool:
    return any(_is_name_of(plugin, name) for name in _read_names(variable))


def _is_name_of(plugin: Plugin, name: str) -> bool:
    return not {name, canonicalize(name)}.isdisjoint((plugin.namespace, plugin.distribution))


def _read_names(variable: str) -> set[str]:
    names = os.environ.get(variable, "").split(",")
    return {name.strip() for name in names if name.strip()}
