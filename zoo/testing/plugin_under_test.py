"""A plugin under test: loaded as far as possible, with its faults recorded instead of raised.

Discovery disables a plugin at its first fault. The kit reports all faults, so it creates specs without checking them.
"""

from __future__ import annotations

import os
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, field, replace
from functools import cached_property
from importlib.metadata import EntryPoint
from types import ModuleType
from typing import TypeVar
from unittest.mock import patch

from zoo.errors import NameNotFound, PluginError
from zoo.plugin import BackboneSpec, DatasetSpec
from zoo.plugin.fields import checks_deferred
from zoo.plugin.made_specs import MadeSpecs, recording_specs
from zoo.registry.plugins.discovery import FIRST_PARTY, get_claims
from zoo.registry.plugins.isolation import Output, failing_as_plugin_error
from zoo.registry.plugins.load import Plugin, find_unlisted, load_module, read_module
from zoo.testing.isolation.import_probe import ImportProbe, find_package, probe_plugin
from zoo.testing.suggestions import describe_fault

T = TypeVar("T", BackboneSpec, DatasetSpec)


@dataclass
class PluginUnderTest(Plugin):
    """An installed plugin, and the faults that were found while it was loading."""

    #: All distributions that claim the namespace.
    claimants: tuple[str, ...] = ()
    #: Fault that each failed check reports, keyed by the check's name.
    faults: dict[str, str] = field(default_factory=dict)
    #: The plugin's module; None if it cannot be imported.
    module: ModuleType | None = field(default=None, repr=False)
    #: The specs that the plugin created, and where.
    made: MadeSpecs = field(default_factory=lambda: MadeSpecs(with_places=True), repr=False)

    @cached_property
    def probe(self) -> ImportProbe:
        """The effects of importing and listing the plugin in a fresh interpreter."""
        return probe_plugin(self.namespace, self.distribution)

    def get_backbone(self, name: str) -> BackboneSpec:
        """Return a backbone by its full name, either listed or found by the plugin's hook.

        Raises:
            NameNotFound: If there is no backbone with this name.
            PluginError: If the plugin fails to look up the backbone.
        """
        for backbone in self.backbones:
            if backbone.name == name:
                return backbone
        with recording_specs(self.made), checks_deferred():
            unlisted = find_unlisted(self, name.partition("/")[2])
        if unlisted is not None:
            if fault := self.made.find_fault(unlisted):
                raise fault
            # The plugin may return a listed spec, whose name differs.
            with checks_deferred():
                return self._remember_place(unlisted, replace(unlisted, name=name))
        if self.faults:  # The plugin may list it, but not in a usable way.
            state = "lists some backbones incorrectly" if self.backbones else "cannot be loaded"
            raise PluginError(f"the plugin {self.namespace} {state}: {next(iter(self.faults.values()))}")
        raise NameNotFound(f"{self.namespace} lists no backbone {name!r}; `zoo list {self.namespace}/*` shows all.")

    def _remember_place(self, spec: BackboneSpec, copied: BackboneSpec) -> BackboneSpec:
        self.made.add(copied, None, self.made.find_place(spec))
        return copied


def examine(namespace: str, *, is_known_to_load: bool = False) -> PluginUnderTest:
    """Load the installed plugin of a namespace as far as possible, without importing torch.

    A fresh interpreter tries the import first. A plugin that terminates the process or hangs is not imported here.

    Args:
        namespace: The plugin's namespace.
        is_known_to_load: Whether to skip the fresh interpreter.

    Raises:
        NameNotFound: If no such plugin is installed, or it is disabled.
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
        check = "plugin.listed" if plugin.module is None else "plugin.hooks"
        plugin.faults[check] = describe_fault(error, find_package(entry_point))
    if plugin.problems:
        faults = [describe_fault(problem, find_package(entry_point)) for problem in plugin.problems]
        plugin.faults["plugin.listed"] = " ".join(faults)
    if plugin.state != "ok":
        plugin.faults["plugin.api"] = plugin.reason
    elif plugin.hooks and not plugin.hooks.get_hookcallers(plugin.module):
        plugin.faults["plugin.hooks"] = "it has no hooks; decorate functions such as zoo_backbones with @hookimpl."
    plugin.backbones, plugin.datasets = _list_usable(plugin, plugin.backbones), _list_usable(plugin, plugin.datasets)
    return plugin


def _load(plugin: PluginUnderTest, entry_point: EntryPoint) -> None:
    """Load a plugin as zoo does, but allow heavy imports, which ``plugin.light`` reports."""
    output = Output()
    with (
        patch.dict(os.environ),
        failing_as_plugin_error(),
        redirect_stdout(output),
        redirect_stderr(output),
        recording_specs(plugin.made),
        checks_deferred(),
    ):
        plugin.module = load_module(entry_point)
        read_module(plugin, plugin.module, plugin.made)


def _list_usable(plugin: PluginUnderTest, specs: tuple[T, ...]) -> tuple[T, ...]:
    """Return the specs with unique names, ignoring case; record the others as faults."""
    usable: dict[str, T] = {}
    for spec in specs:
        if not isinstance(spec.name, str):
            fault = f"it lists a spec with name={spec.name!r:.80}; it must be a string."
            plugin.faults.setdefault("plugin.listed", fault)
        elif twin := usable.get(spec.name.lower()):
            place = plugin.made.find_place(spec)
            fault = f"it lists {spec.name} and {twin.name}; rename one of them{place and f' ({place})'}."
            plugin.faults.setdefault("plugin.names", fault)
        else:
            usable[spec.name.lower()] = spec
    return tuple(usable.values())
