"""Finds backbones and data sets by name among the plugins. Never imports torch."""

from __future__ import annotations

import copy
import fnmatch
import functools
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from zoo.errors import NameNotFound, PluginError
from zoo.plugin import BackboneSpec, DatasetSpec
from zoo.registry.discovery import FIRST_PARTY, discover_plugins
from zoo.registry.load_plugin import Plugin, call_hook, find_unlisted
from zoo.registry.registry_toml import NamedRecipe, RegistryToml, load_registry_toml


@dataclass(frozen=True)
class Resolved:
    """What a name was taken for."""

    asked: str
    backbone: BackboneSpec
    #: None where no tag was named.
    tag: str | None
    #: What the user should know about it, one line each.
    notes: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The full name, with the tag where one was named."""
        return self.backbone.name if self.tag is None else f"{self.backbone.name}@{self.tag}"


class Registry:
    """The backbones and data sets of some plugins, under the names that some settings give them."""

    def __init__(self, plugins: Iterable[Plugin], settings: RegistryToml | None = None) -> None:
        self.plugins = tuple(plugins)
        self._given_settings = settings
        self._deaf: set[str] = set()
        self._backbones = {spec.name: spec for plugin in self.plugins for spec in plugin.backbones}

    def list_backbones(self) -> list[BackboneSpec]:
        """List all backbones, sorted by name."""
        return [self._backbones[name] for name in sorted(self._backbones)]

    def resolve(self, asked: str) -> Resolved:
        """Return the backbone that ``namespace/name@tag``, an alias or a bare name stands for.

        Raises:
            NameNotFound: nothing, or more than one thing, has that name; the message lists what is near.
        """
        name, _, tag = asked.partition("@")
        if name not in self._backbones and name in self._settings.aliases:
            name, _, alias_tag = self._settings.aliases[name].partition("@")
            tag = tag or alias_tag
        backbone = self._find_qualified(name) if "/" in name else self._find_bare(name)
        if backbone is None:
            raise NameNotFound(self._explain_missing(asked, name))
        if tag:
            backbone.get_weights(tag)
        return Resolved(asked, backbone, tag or None, tuple(_list_version_notes(backbone)))

    def list_datasets(self) -> list[DatasetSpec]:
        """List all data sets, those of registry.toml and those of the plugins, sorted by name."""
        return [spec for _, spec in sorted(self._datasets.items())]

    def get_dataset(self, asked: str) -> DatasetSpec:
        """Return a data set by its name, or by its bare name where only one has it.

        Raises:
            NameNotFound: nothing, or more than one thing, has that name.
        """
        if asked in self._datasets:
            return self._datasets[asked]
        match = self._choose(asked, [name for name in self._datasets if name.partition("/")[2] == asked])
        if match is not None:
            return self._datasets[match]
        known = ", ".join(spec.name for spec in self.list_datasets()) or "none"
        raise NameNotFound(f"no data set {asked!r}; known are {known}, or give a folder or an archive.")

    def announce(self, event: str, **arguments: Any) -> list[str]:
        """Tell an event to every plugin, each with a copy of its own; returns one line for each that failed on it.

        A plugin that fails is told no more events of the run; its backbones remain.
        """
        complaints = []
        if event == "zoo_run_started":
            self._deaf.clear()
        for plugin in self.plugins:
            if plugin.namespace in self._deaf:
                continue
            try:
                call_hook(plugin, event, **copy.deepcopy(arguments))
            except PluginError as error:
                self._deaf.add(plugin.namespace)
                complaints.append(f"{error}; it is told nothing more of this run")
        return complaints

    def get_recipe(self, name: str) -> NamedRecipe:
        """Return a recipe of registry.toml.

        Raises:
            NameNotFound: there is none of that name.
        """
        recipes = self._settings.recipes
        if name not in recipes:
            raise NameNotFound(f"no recipe {name!r}; there are {', '.join(sorted(recipes)) or 'none'}.")
        return recipes[name]

    def find_origin(self, backbone: BackboneSpec) -> dict[str, str] | None:
        """Return the distribution and the version of the plugin that a backbone is from, or None if it is not known."""
        plugin = self._find_plugin(backbone.name)
        return None if plugin is None else {"distribution": plugin.distribution, "version": plugin.version}

    def _find_plugin(self, name: str) -> Plugin | None:
        namespace = name.partition("/")[0]
        usable = (plugin for plugin in self.plugins if plugin.namespace == namespace and plugin.state == "ok")
        return next(usable, None)

    @functools.cached_property
    def _settings(self) -> RegistryToml:
        # Read when it is first needed, because listing backbones does not need it.
        return load_registry_toml() if self._given_settings is None else self._given_settings

    @functools.cached_property
    def _datasets(self) -> Mapping[str, DatasetSpec]:
        theirs = {spec.name: spec for plugin in self.plugins for spec in plugin.datasets}
        return {**theirs, **self._settings.datasets}

    @functools.cached_property
    def _by_bare_name(self) -> Mapping[str, list[str]]:
        names: defaultdict[str, list[str]] = defaultdict(list)
        for name in self._backbones:
            names[name.partition("/")[2]].append(name)
        return names

    def _find_qualified(self, name: str) -> BackboneSpec | None:
        name = _correct_case(name, self._backbones)
        if name in self._backbones:
            return self._backbones[name]
        plugin = self._find_plugin(name)
        return None if plugin is None else find_unlisted(plugin, name.partition("/")[2])

    def _find_bare(self, name: str) -> BackboneSpec | None:
        name = _correct_case(name, self._by_bare_name)
        match = self._choose(name, self._by_bare_name.get(name, []))
        return None if match is None else self._backbones[match]

    def _choose(self, bare: str, matches: list[str]) -> str | None:
        """Choose among the qualified names that a bare one may stand for; strangers never win over our own plugins."""
        namespaces = {match.partition("/")[0]: match for match in matches}
        for namespace in (*self._settings.order, *FIRST_PARTY):
            if namespace in namespaces and (namespace in FIRST_PARTY or not namespaces.keys() & FIRST_PARTY.keys()):
                return namespaces[namespace]
        if len(matches) > 1:
            raise NameNotFound(f"{bare!r} is ambiguous: {', '.join(sorted(matches))}. Name one of them in full.")
        return matches[0] if matches else None

    def _explain_missing(self, asked: str, name: str) -> str:
        namespace, _, bare = name.partition("/") if "/" in name else ("", "", name)
        asked = asked if name == asked.partition("@")[0] else f"{asked} (alias of {name})"
        installed = sorted({plugin.namespace for plugin in self.plugins})
        unusable = [plugin for plugin in self.plugins if plugin.namespace == namespace and plugin.state != "ok"]
        if unusable:
            return f"no backbone {asked!r}: the plugin {namespace} is {unusable[0].state}: {unusable[0].reason}"
        if namespace and namespace not in installed:
            ours = f"its plugin is {FIRST_PARTY[namespace]}, " if namespace in FIRST_PARTY else ""
            known = ", ".join(installed) or "none"
            return f"no backbone {asked!r}: no plugin {namespace!r} is installed; {ours}installed are {known}."
        broken = [plugin.namespace for plugin in self.plugins if plugin.state not in ("ok", "disabled")]
        hint = f" `zoo plugins` tells why {', '.join(broken)} cannot be used." if broken else ""
        near = self._list_near(bare, namespace)
        answer = f"near are {', '.join(near)}." if near else "`zoo list` shows all of them."
        return f"no backbone {asked!r}; {answer}{hint}"

    def _list_near(self, bare: str, namespace: str) -> list[str]:
        import difflib

        matches = difflib.get_close_matches(bare.lower(), self._by_bare_name, n=4, cutoff=0.6)
        names = [name for match in matches for name in sorted(self._by_bare_name[match])]
        return [name for name in names if not namespace or name.startswith(f"{namespace}/")]


def _correct_case(name: str, known: Collection[str]) -> str:
    """Return the known name that equals a name if case is ignored; the name itself if it is known or ambiguous."""
    spellings = [spelling for spelling in known if spelling.lower() == name.lower()]
    return spellings[0] if len(spellings) == 1 and name not in known else name


@functools.cache
def open_registry() -> Registry:
    """Return the registry of all installed plugins; they are loaded once in a process."""
    return Registry(discover_plugins())


def _list_version_notes(backbone: BackboneSpec) -> Iterable[str]:
    if backbone.upstream is None:
        return
    import importlib.metadata

    distribution, _, read_from = backbone.upstream.partition("==")
    try:
        installed = importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        yield f"{backbone.name} needs {distribution}, which is not installed; pip install {distribution}."
        return
    # A patch release changes no architecture, and a build like 2.15.0+cpu is the same version.
    if _read_minor(installed) != _read_minor(read_from):
        yield (
            f"zoo describes {backbone.name} as it is in {distribution} {read_from}, and {installed} is installed; "
            f"`zoo check {backbone.name}` tells whether that still holds."
        )


def _read_minor(version: str) -> list[str]:
    return version.partition("+")[0].split(".")[:2]


def list_backbones(pattern: str | None = None, registry: Registry | None = None) -> list[BackboneSpec]:
    """List the backbones of all installed plugins, sorted by name.

    Args:
        pattern: a part of the name, or a shell pattern for the whole of it (``timm/vit_*``); None: all.
        registry: where to look; None: all installed plugins.
    """
    backbones = (registry or open_registry()).list_backbones()
    if pattern is None:
        return backbones
    pattern = pattern.lower() if set(pattern) & set("*?[") else f"*{pattern.lower()}*"
    return [backbone for backbone in backbones if _matches(backbone.name.lower(), pattern)]


def _matches(name: str, pattern: str) -> bool:
    return fnmatch.fnmatchcase(name, pattern) or fnmatch.fnmatchcase(name.partition("/")[2], pattern)
