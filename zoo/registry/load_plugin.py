"""Loads a plugin's module and asks its hooks, in isolation: whatever one does, the others and zoo go on."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from contextlib import redirect_stdout
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint
from types import ModuleType
from typing import Any, Literal, TypeVar

import pluggy

from zoo.errors import PluginError
from zoo.plugin import API_VERSION, BackboneSpec, DatasetSpec, Hooks
from zoo.registry.isolation import Output, contained, failing_as_plugin_error

T = TypeVar("T")
State = Literal["ok", "disabled", "conflict", "incompatible", "broken"]


@dataclass
class Plugin:
    """A plugin as found: what it offers, or why it cannot be used."""

    namespace: str
    distribution: str
    version: str
    state: State = "ok"
    #: Why the state is not ``ok``, in one line.
    reason: str = ""
    #: The traceback behind the reason, for ``--debug``.
    details: str = ""
    #: What it printed while it was loaded.
    output: str = ""
    backbones: tuple[BackboneSpec, ...] = ()
    datasets: tuple[DatasetSpec, ...] = ()
    hooks: pluggy.PluginManager | None = field(default=None, repr=False)

    def fail(self, state: State, reason: str, details: str = "") -> None:
        """Take the plugin out of use."""
        self.state, self.reason, self.details = state, reason, details
        self.backbones, self.datasets, self.hooks = (), (), None


def load_plugin(plugin: Plugin, load: Callable[[], ModuleType]) -> None:
    """Load one plugin and ask for what it lists; any failure is written into ``plugin``."""
    output = Output()
    try:
        with contained(output):
            _load(plugin, load())
    except PluginError as error:
        import traceback

        plugin.fail("broken", str(error), traceback.format_exc())
    plugin.output = output.read_all()


def call_hook(plugin: Plugin, hook: str, **arguments: Any) -> list[Any]:
    """Call one hook of one plugin; returns its answers, none for a plugin that cannot be used.

    Raises:
        PluginError: the hook raised; the message names it in one line.
    """
    if plugin.hooks is None:
        return []
    try:
        # A tracker may print, but stdout belongs to the answer of the command.
        with failing_as_plugin_error(), redirect_stdout(sys.stderr):
            return getattr(plugin.hooks.hook, hook)(**arguments)  # type: ignore[no-any-return]  # pluggy has no types
    except PluginError as error:
        raise PluginError(f"plugin {plugin.namespace} failed in {hook}: {error}") from error


def find_unlisted(plugin: Plugin, name: str) -> BackboneSpec | None:
    """Ask a plugin for a backbone that it does not list, ``name`` without the namespace.

    Raises:
        PluginError: it failed, or answered with something else.
    """
    answers = call_hook(plugin, "zoo_find_backbone", name=name)
    try:
        return _checked(answers[0], BackboneSpec, plugin.namespace) if answers else None
    except PluginError as error:
        raise PluginError(f"plugin {plugin.namespace} failed in zoo_find_backbone: {error}") from error


def load_module(entry_point: EntryPoint) -> ModuleType:
    """Import the module that an entry point leads to.

    Raises:
        PluginError: it leads to something else; besides, whatever the module raises.
    """
    if not entry_point.pattern.match(entry_point.value):
        raise PluginError(f"its entry point is {entry_point.value!r:.80}; it must be MODULE, or MODULE:NAME.")
    module = entry_point.load()
    if not isinstance(module, ModuleType):
        raise PluginError(f"its entry point is a {type(module).__name__}; it must be a module.")
    return module


def _load(plugin: Plugin, module: ModuleType) -> None:
    state, reason = judge_version(module)
    if state != "ok":
        plugin.fail(state, reason)
        return
    # A manager of its own: what one plugin does to it cannot reach another.
    manager = pluggy.PluginManager("zoo")
    manager.add_hookspecs(Hooks)
    manager.register(module, plugin.namespace)
    refuse_misspelt_hooks(module)
    plugin.backbones = _ask(manager.hook.zoo_backbones, BackboneSpec, plugin.namespace)
    plugin.datasets = _ask(manager.hook.zoo_datasets, DatasetSpec, plugin.namespace)
    plugin.hooks = manager


def judge_version(module: object) -> tuple[State, str]:
    """Return whether a plugin's module was written for this contract: a state, and the reason if it is not ``ok``."""
    version = getattr(module, "ZOO_API", None)
    if type(version) is not int:
        return "broken", f"its module says ZOO_API = {version!r}; it must say ZOO_API = {API_VERSION}."
    if version != API_VERSION:
        cure = "upgrade zoo" if version > API_VERSION else "upgrade the plugin"
        return "incompatible", f"written for plugin API {version}, this zoo speaks {API_VERSION}; {cure}."
    return "ok", ""


def refuse_misspelt_hooks(module: ModuleType) -> None:
    """Raise PluginError for what is marked as a hook but is none; pluggy itself would pass over it in silence."""
    known = sorted(name for name in vars(Hooks) if name.startswith("zoo_"))
    for name, value in vars(module).items():
        marked = getattr(value, "zoo_impl", None) is not None
        if (marked or (name.startswith("zoo_") and callable(value))) and name not in known:
            raise PluginError(f"{name} is no hook; the hooks are {', '.join(known)}.")
        if name in known and not marked:
            raise PluginError(f"{name} is not marked; put @hookimpl above it.")


def _ask(caller: pluggy.HookCaller, kind: type[T], namespace: str) -> tuple[T, ...]:
    answers = caller()
    if caller.get_hookimpls() and not answers:
        raise PluginError(f"{caller.name} returns nothing; it must return {kind.__name__}s, or yield them.")
    specs: list[T] = []
    for answer in answers:
        if not isinstance(answer, Iterable):
            raise PluginError(f"{caller.name} returns {answer!r:.80}; it must return {kind.__name__}s, or yield them.")
        specs.extend(_checked(spec, kind, namespace) for spec in answer)
    names = [spec.name for spec in specs]  # type: ignore[attr-defined]  # both kinds have a name
    if len(set(names)) != len(names):
        twice = sorted({name for name in names if names.count(name) > 1})
        raise PluginError(f"it lists {', '.join(twice)} more than once.")
    return tuple(specs)


def _checked(spec: object, kind: type[T], namespace: str) -> T:
    if not isinstance(spec, kind):
        raise PluginError(f"it lists {spec!r:.80}, which is no {kind.__name__}.")
    name: str = spec.name  # type: ignore[attr-defined]  # both kinds have a name
    if not name.startswith(f"{namespace}/"):
        raise PluginError(f"it lists {name}; its names must begin with {namespace}/.")
    return spec
