"""Find backbones and data sets by name. Never imports torch."""

from __future__ import annotations

import copy
import fnmatch
import functools
import os
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from zoo.errors import NameNotFound, PluginError
from zoo.plugin import BackboneSpec, DatasetSpec, SourceSpec
from zoo.registry.plugins.discovery import FIRST_PARTY, discover_plugins
from zoo.registry.plugins.load import Plugin, call_hook, find_unlisted
from zoo.registry.registry_toml import NamedRecipe, RegistryToml, load_registry_toml
from zoo.registry.resolved import Resolved
from zoo.registry.spelling import correct_case, list_close
from zoo.registry.upstream_version import list_version_notes


class Registry:
    """The backbones and data sets of some plugins, and the aliases, data sets and recipes of registry.toml."""

    def __init__(self, plugins: Iterable[Plugin], settings: RegistryToml | None = None) -> None:
        self.plugins = tuple(plugins)
        self._given_settings = settings
        self._muted: set[str] = set()
        self._backbones = {spec.name: spec for plugin in self.plugins for spec in plugin.backbones}

    def list_backbones(self) -> list[BackboneSpec]:
        """Return all backbones, sorted by name."""
        return [self._backbones[name] for name in sorted(self._backbones)]

    def resolve(self, asked: str) -> Resolved:
        """Find a backbone by name.

        Args:
            asked: ``namespace/name``, an alias or a bare name, each with an optional ``@tag``.

        Raises:
            NameNotFound: If no backbone has that name, if several have it, or if no weights have that tag. The
                message lists similar names.
            PluginError: If the plugin fails while it searches for the backbone.
        """
        name, at, tag = asked.partition("@")
        if at and not tag:
            raise NameNotFound(f"{asked!r} has no tag after the @; `zoo info {name}` lists the tags.")
        if name not in self._backbones and name in self._settings.aliases:
            name, _, alias_tag = self._settings.aliases[name].partition("@")
            tag = tag or alias_tag
        backbone = self._find_qualified(name) if "/" in name else self._find_bare(name)
        if backbone is None:
            raise NameNotFound(self._explain_missing(asked, name))
        if tag:
            backbone.get_weights(tag)
        return Resolved(asked, backbone, tag or None, tuple(list_version_notes(backbone)))

    def list_datasets(self) -> list[DatasetSpec]:
        """Return the data sets of registry.toml and of all plugins, sorted by name."""
        return [spec for _, spec in sorted(self._datasets.items())]

    def get_dataset(self, asked: str) -> DatasetSpec:
        """Find a data set by its full name, or by its bare name.

        Raises:
            NameNotFound: If no data set has that name, or if several have it.
        """
        if asked in self._datasets:
            return self._datasets[asked]
        match = self._choose(asked, [name for name in self._datasets if name.partition("/")[2] == asked])
        if match is not None:
            return self._datasets[match]
        known = ", ".join(spec.name for spec in self.list_datasets()) or "none"
        similar = list_close(asked, {part for name in self._datasets for part in (name, name.rpartition("/")[2])})
        advice = f" Did you mean {' or '.join(map(repr, similar))}?" if similar else ""
        raise NameNotFound(
            f"no data set {asked!r}; available: {known}.{advice} Or pass a folder, a table or an archive."
        )

    def list_sources(self) -> list[SourceSpec]:
        """Return the kinds of data sources that plugins add, sorted by prefix."""
        return sorted((spec for plugin in self.plugins for spec in plugin.sources), key=lambda spec: spec.prefix)

    def explain_missing_source(self, prefix: str) -> str:
        """Return the end of a message about an unknown prefix; it is empty unless an unusable plugin may own it."""
        for plugin in self.plugins:
            if plugin.state != "ok" and f"{prefix}-".startswith(f"{plugin.namespace}-"):
                return f"; the plugin {plugin.namespace} is {plugin.state}; see `zoo plugins`"
        return ""

    def find_definition(self, dataset: DatasetSpec) -> Path | None:
        """Return the registry.toml that defines a data set, or None if zoo or a plugin defines it."""
        return self._settings.defined_in.get(dataset.name)

    def announce(self, event: str, **arguments: Any) -> list[str]:
        """Call the hook of an event in every plugin.

        Each plugin gets its own copy of the arguments. A plugin that fails receives no further events during the run,
        but its backbones stay available.

        Returns:
            A message for each plugin that failed.
        """
        messages = []
        if event == "zoo_run_started":
            self._muted.clear()
        for plugin in self.plugins:
            if plugin.namespace in self._muted:
                continue
            try:
                call_hook(plugin, event, **copy.deepcopy(arguments))
            except PluginError as error:
                self._muted.add(plugin.namespace)
                messages.append(f"{error}; it receives no more events in this run")
        return messages

    def get_recipe(self, name: str) -> NamedRecipe:
        """Return a recipe of registry.toml.

        Raises:
            NameNotFound: If there is no recipe of that name.
        """
        recipes = self._settings.recipes
        if name not in recipes:
            raise NameNotFound(f"no recipe {name!r}; available: {', '.join(sorted(recipes)) or 'none'}.")
        return recipes[name]

    def find_origin(self, backbone: BackboneSpec) -> dict[str, str] | None:
        """Return the distribution and version of a backbone's plugin, or None if no plugin has its namespace."""
        plugin = self._find_plugin(backbone.name)
        return None if plugin is None else {"distribution": plugin.distribution, "version": plugin.version}

    def _find_plugin(self, name: str) -> Plugin | None:
        """Return the plugin for the namespace of a full name, or None if there is no usable one."""
        namespace = name.partition("/")[0]
        usable = (plugin for plugin in self.plugins if plugin.namespace == namespace and plugin.is_usable)
        return next(usable, None)

    @functools.cached_property
    def _settings(self) -> RegistryToml:
        # The files are read when they are first needed, because listing backbones does not need them.
        return load_registry_toml() if self._given_settings is None else self._given_settings

    @functools.cached_property
    def _datasets(self) -> Mapping[str, DatasetSpec]:
        of_plugins = {spec.name: spec for plugin in self.plugins for spec in plugin.datasets}
        return {**of_plugins, **self._settings.datasets}

    @functools.cached_property
    def _by_bare_name(self) -> Mapping[str, list[str]]:
        names: defaultdict[str, list[str]] = defaultdict(list)
        for name in self._backbones:
            names[name.partition("/")[2]].append(name)
        return names

    def _find_qualified(self, name: str) -> BackboneSpec | None:
        name = correct_case(name, self._backbones)
        if name in self._backbones:
            return self._backbones[name]
        plugin = self._find_plugin(name)
        return None if plugin is None else find_unlisted(plugin, name.partition("/")[2])

    def _find_bare(self, name: str) -> BackboneSpec | None:
        name = correct_case(name, self._by_bare_name)
        match = self._choose(name, self._by_bare_name.get(name, []))
        return None if match is None else self._backbones[match]

    def _choose(self, bare: str, matches: list[str]) -> str | None:
        """Choose one of the full names for a bare name. A third-party plugin never wins over a first-party one."""
        namespaces = {match.partition("/")[0]: match for match in matches}
        for namespace in (*self._settings.order, *FIRST_PARTY):
            if namespace in namespaces and (namespace in FIRST_PARTY or not namespaces.keys() & FIRST_PARTY.keys()):
                return namespaces[namespace]
        if len(matches) > 1:
            raise NameNotFound(f"{bare!r} is ambiguous: {', '.join(sorted(matches))}. Use one of these full names.")
        return matches[0] if matches else None

    def _explain_missing(self, asked: str, name: str) -> str:
        namespace, _, bare = name.partition("/") if "/" in name else ("", "", name)
        model = os.path.join(asked, "model.safetensors")  # noqa: PTH118  # see the next line
        if os.path.isfile(model):  # noqa: PTH113  # Unlike Path.is_file, it accepts text that cannot be a path.
            return (
                f"no backbone {asked!r}: it is the folder of a run; `zoo finetune BACKBONE --weights {model}` trains "
                "its model further."
            )
        asked = asked if name == asked.partition("@")[0] else f"{asked} (alias of {name})"
        installed = sorted({plugin.namespace for plugin in self.plugins})
        unusable = [plugin for plugin in self.plugins if plugin.namespace == namespace and plugin.state != "ok"]
        if unusable:
            return f"no backbone {asked!r}: the plugin {namespace} is {unusable[0].state}: {unusable[0].reason}"
        if namespace and namespace not in installed:
            advice = f"install {FIRST_PARTY[namespace]}; " if namespace in FIRST_PARTY else ""
            known = ", ".join(installed) or "none"
            return f"no backbone {asked!r}: no plugin {namespace!r} is installed; {advice}installed: {known}."
        broken = [plugin.namespace for plugin in self.plugins if plugin.state not in ("ok", "disabled")]
        note = f" `zoo plugins` shows why {', '.join(broken)} cannot be used." if broken else ""
        similar = self._list_similar(bare, namespace)
        advice = f"did you mean {', '.join(similar)}?" if similar else "`zoo list` shows all backbones."
        return f"no backbone {asked!r}; {advice}{note}"

    def _list_similar(self, bare: str, namespace: str) -> list[str]:
        import difflib

        matches = difflib.get_close_matches(bare.lower(), self._by_bare_name, n=4, cutoff=0.6)
        names = [name for match in matches for name in sorted(self._by_bare_name[match])]
        return [name for name in names if not namespace or name.startswith(f"{namespace}/")]


@functools.cache
def open_registry() -> Registry:
    """Return the registry of all installed plugins. They are loaded once per process."""
    return Registry(discover_plugins())


def list_backbones(pattern: str | None = None, registry: Registry | None = None) -> list[BackboneSpec]:
    """Return the backbones of all installed plugins, sorted by name.

    Args:
        pattern: Part of the name, or a shell pattern for the full name or the bare one (``timm/vit_*``). Case is
            ignored. None means all backbones.
        registry: Registry to search; None means the registry of all installed plugins.
    """
    backbones = (registry or open_registry()).list_backbones()
    if pattern is None:
        return backbones
    pattern = pattern.lower() if set(pattern) & set("*?[") else f"*{pattern.lower()}*"
    return [backbone for backbone in backbones if _matches(backbone.name.lower(), pattern)]


def _matches(name: str, pattern: str) -> bool:
    return fnmatch.fnmatchcase(name, pattern) or fnmatch.fnmatchcase(name.partition("/")[2], pattern)
