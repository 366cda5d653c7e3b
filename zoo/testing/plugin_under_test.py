"""A plugin as the kit sees it: loaded as far as it can be, with its faults noted and not raised.

Discovery takes a plugin out of use at its first fault. The kit names all of them, so it makes specs unchecked.
"""

from __future__ import annotations

import importlib
import re
from dataclasses import dataclass, field, replace
from functools import cached_property
from importlib.metadata import EntryPoint
from types import ModuleType
from typing import TypeVar

from zoo.errors import NameNotFound, PluginError
from zoo.plugin import BackboneSpec, DatasetSpec
from zoo.plugin.fields import checks_deferred
from zoo.registry.discovery import FIRST_PARTY, get_claims
from zoo.registry.isolation import HEAVY, Output, contained
from zoo.registry.load_plugin import Plugin, ask_module, find_unlisted, load_module
from zoo.testing.isolation.import_probe import ImportProbe, find_package, probe_plugin
from zoo.testing.suggestions import describe_fault

T = TypeVar("T", BackboneSpec, DatasetSpec)
#: How `zoo.registry.isolation` refuses an import.
REFUSED = re.compile(r"it imports (\w+) while it is listed")


@dataclass
class PluginUnderTest(Plugin):
    """An installed plugin, and what was found wrong while it was loaded."""

    #: All distributions that claim the namespace.
    claimants: tuple[str, ...] = ()
    #: From a check's name to what is wrong.
    faults: dict[str, str] = field(default_factory=dict)
    #: None if it cannot be imported.
    module: ModuleType | None = field(default=None, repr=False)

    @cached_property
    def probe(self) -> ImportProbe:
        """What happens when it is imported and listed in a fresh interpreter."""
        return probe_plugin(self.namespace, self.distribution)

    def get_backbone(self, name: str) -> BackboneSpec:
        """Return a backbone by its full name: one that is listed, or that the plugin finds when it is asked for it.

        Raises:
            NameNotFound: there is none of that name.
            PluginError: the plugin failed when it was asked for it.
        """
        for backbone in self.backbones:
            if backbone.name == name:
                return backbone
        with checks_deferred():
            unlisted = find_unlisted(self, name.partition("/")[2])
            if unlisted is None:
                raise NameNotFound(
                    f"{self.namespace} lists no backbone {name!r}; `zoo list {self.namespace}/*` shows all."
                )
            return replace(unlisted, name=name)  # the name that was asked for: a listed one may have its own


def examine(namespace: str, *, is_known_to_load: bool = False) -> PluginUnderTest:
    """Load the installed plugin of a namespace, as far as it can be, without torch.

    A plugin that ends the process or hangs is not imported here: a fresh interpreter tries first.

    Raises:
        NameNotFound: no such plugin is installed, or it is switched off.
    """
    claims, rightful = get_claims(namespace), FIRST_PARTY.get(namespace)
    claim, entry_point = next((claim for claim in claims if claim[0].distribution == rightful), claims[0])
    claimants = tuple(claimant.distribution for claimant, _ in claims)
    plugin = PluginUnderTest(namespace, claim.distribution, claim.version, claimants=claimants)
    if not is_known_to_load and not plugin.probe.survives:
        plugin.faults["plugin.listed"] = f"{plugin.probe.error}; zoo cannot import it."
        return plugin
    try:
        _load(plugin, entry_point)
    except PluginError as error:
        check = "plugin.listed" if plugin.module is None or plugin.hooks else "plugin.hooks"
        plugin.faults[check] = describe_fault(error, find_package(entry_point))
    if plugin.state != "ok":
        plugin.faults["plugin.api"] = plugin.reason
    elif plugin.hooks and not plugin.hooks.get_hookcallers(plugin.module):
        plugin.faults["plugin.hooks"] = "it implements no hook; mark functions such as zoo_backbones with @hookimpl."
    plugin.backbones, plugin.datasets = _list_usable(plugin, plugin.backbones), _list_usable(plugin, plugin.datasets)
    return plugin


def _load(plugin: PluginUnderTest, entry_point: EntryPoint) -> None:
    """Load a plugin as zoo does; a forbidden import, which ``plugin.light`` reports, is made beforehand."""
    for _ in HEAVY:
        try:
            with contained(Output()), checks_deferred():
                plugin.module = load_module(entry_point)
                ask_module(plugin, plugin.module)
        except PluginError as error:
            refused = REFUSED.search(str(error))
            if refused is None:
                raise
            importlib.import_module(refused[1])
        else:
            return


def _list_usable(plugin: PluginUnderTest, specs: tuple[T, ...]) -> tuple[T, ...]:
    """List the specs whose names are unique, whatever their case; the others are faults."""
    usable: dict[str, T] = {}
    for spec in specs:
        if not isinstance(spec.name, str):
            plugin.faults.setdefault(
                "plugin.listed", f"it lists a spec with name={spec.name!r:.80}; it must be a text."
            )
        elif twin := usable.get(spec.name.lower()):
            fault = f"it lists {spec.name} and {twin.name}; give one of them another name."
            plugin.faults.setdefault("plugin.names", fault)
        else:
            usable[spec.name.lower()] = spec
    return tuple(usable.values())
