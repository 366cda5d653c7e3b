"""A plugin as the kit sees it: everything that can be loaded of it is, and what is wrong is noted, not raised.

Discovery takes a plugin out of use at its first fault. The kit wants to name all of them, so it makes specs unchecked.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import cached_property
from importlib.metadata import EntryPoint
from types import ModuleType
from typing import Any, TypeVar

import pluggy

from zoo.errors import NameNotFound, PluginError
from zoo.plugin import BackboneSpec, DatasetSpec, Hooks
from zoo.plugin.fields import checks_deferred
from zoo.registry.discovery import FIRST_PARTY, Claim, find_claims
from zoo.registry.isolation import HEAVY, Output, contained
from zoo.registry.load_plugin import Plugin, call_hook, judge_version, load_module, refuse_misspelt_hooks
from zoo.testing.isolation.import_probe import Probed, find_package, probe_plugin
from zoo.testing.suggestions import describe_fault, refuse_wrong_arguments

T = TypeVar("T")
#: How `zoo.registry.isolation` refuses an import.
REFUSED = re.compile(r"it imports (\w+) while it is listed")


@dataclass
class Examined:
    """An installed plugin, and what was found wrong while it was loaded."""

    namespace: str
    distribution: str
    #: All distributions that claim the namespace.
    claimants: tuple[str, ...]
    #: From a check's name to what is wrong.
    faults: dict[str, str] = field(default_factory=dict)
    backbones: tuple[BackboneSpec, ...] = ()
    datasets: tuple[DatasetSpec, ...] = ()
    #: What its entry point leads to; None where it cannot be imported.
    module: ModuleType | None = field(default=None, repr=False)
    #: None where its hooks cannot be called.
    hooks: pluggy.PluginManager | None = field(default=None, repr=False)

    @cached_property
    def probed(self) -> Probed:
        """What happens when it is imported and listed in a fresh interpreter."""
        return probe_plugin(self.namespace, self.distribution)

    def get_backbone(self, name: str) -> BackboneSpec:
        """Return a backbone by its full name: one that is listed, or that the plugin finds when it is asked for it.

        Raises:
            NameNotFound: there is none of that name.
            PluginError: the plugin failed to look for it.
        """
        for backbone in self.backbones:
            if backbone.name == name:
                return backbone
        unlisted = self._find_unlisted(name)
        if unlisted is None:
            raise NameNotFound(f"{self.namespace} lists no backbone {name!r}; `zoo list {self.namespace}/*` shows all.")
        return unlisted

    def _find_unlisted(self, name: str) -> BackboneSpec | None:
        """Ask for what is not listed; it keeps the name that was asked for, since a listed one may be like it."""
        plugin = Plugin(self.namespace, self.distribution, "", hooks=self.hooks)
        with checks_deferred():
            answers = call_hook(plugin, "zoo_find_backbone", name=name.partition("/")[2])
            if not answers:
                return None
            spec, failed = answers[0], f"plugin {self.namespace} failed in zoo_find_backbone"
            if not isinstance(spec, BackboneSpec):
                raise PluginError(f"{failed}: it finds {spec!r:.80}, which is no BackboneSpec.")
            if not str(spec.name).startswith(f"{self.namespace}/"):
                raise PluginError(f"{failed}: it finds {spec.name!r:.80}; its names must begin with {self.namespace}/.")
            return replace(spec, name=name)


def examine(namespace: str, *, is_known_to_load: bool = False) -> Examined:
    """Load the installed plugin of a namespace, as far as it can be, without torch.

    What ends the process or hangs is not imported here; to know it, a fresh interpreter tries first.

    Raises:
        NameNotFound: no such plugin is installed, or it is switched off.
    """
    claims = find_claims(namespace)
    plugin, entry_point = _choose(namespace, claims)
    examined = Examined(namespace, plugin.distribution, tuple(claimant.distribution for claimant, _ in claims))
    if not is_known_to_load and not examined.probed.survives:
        examined.faults["plugin.listed"] = f"{examined.probed.error}; zoo cannot import it."
        return examined
    try:
        _load_in_spite(examined, entry_point)
    except PluginError as error:
        examined.faults.setdefault("plugin.listed", describe_fault(error, find_package(entry_point)))
    return examined


def _load_in_spite(examined: Examined, entry_point: EntryPoint) -> None:
    """Load a plugin as it is loaded everywhere; what it must not import is imported before it, so as to see the rest.

    That it imports it is told by ``plugin.light``.
    """
    for _ in HEAVY:
        try:
            with contained(Output()), checks_deferred():
                _load(examined, load_module(entry_point))
        except PluginError as error:
            refused = REFUSED.search(str(error))
            if refused is None:
                raise
            importlib.import_module(refused[1])
        else:
            return


def _choose(namespace: str, claims: list[Claim]) -> Claim:
    rightful = FIRST_PARTY.get(namespace)
    return next((claim for claim in claims if claim[0].distribution == rightful), claims[0])


def _load(examined: Examined, module: ModuleType) -> None:
    examined.module = module
    state, reason = judge_version(module)
    if state != "ok":
        examined.faults["plugin.api"] = reason
        return
    manager = pluggy.PluginManager("zoo")
    manager.add_hookspecs(Hooks)
    try:
        refuse_wrong_arguments(module)
        manager.register(module)
        refuse_misspelt_hooks(module)
        if not manager.get_hookcallers(module):
            raise PluginError("it implements no hook; mark functions such as zoo_backbones with @hookimpl.")
    except (pluggy.PluginValidationError, PluginError) as error:
        examined.faults["plugin.hooks"] = " ".join(str(error).split())
        return
    examined.hooks = manager
    examined.backbones = _list(examined, manager.hook.zoo_backbones, BackboneSpec)
    examined.datasets = _list(examined, manager.hook.zoo_datasets, DatasetSpec)


def _list(examined: Examined, caller: pluggy.HookCaller, kind: type[T]) -> tuple[T, ...]:
    """Collect what a hook lists, each name once; a name that cannot be used is a fault of its own."""
    specs: dict[str, T] = {}
    for spec in _ask(caller, kind):
        if not isinstance(spec, kind):
            raise PluginError(f"it lists {spec!r:.80}, which is no {kind.__name__}.")
        name: object = spec.name  # type: ignore[attr-defined]  # both kinds have a name
        if not isinstance(name, str):
            examined.faults.setdefault("plugin.listed", f"it lists a spec with name={name!r:.80}; it must be a text.")
        elif twin := specs.get(name.lower()):
            found = f"it lists {name} and {twin.name}"  # type: ignore[attr-defined]  # the same
            examined.faults.setdefault("plugin.names", f"{found}; give one of them another name.")
        else:
            specs[name.lower()] = spec
    return tuple(specs.values())


def _ask(caller: pluggy.HookCaller, kind: type) -> Iterable[object]:
    wanted = f"it must return {kind.__name__}s, or yield them"
    answers: list[Any] = caller()
    if caller.get_hookimpls() and not answers:
        raise PluginError(f"{caller.name} returns nothing; {wanted}.")
    for answer in answers:
        if not isinstance(answer, Iterable):
            raise PluginError(f"{caller.name} returns {answer!r:.80}; {wanted}.")
        yield from answer
