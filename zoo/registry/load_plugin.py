"""Loads a plugin's module and asks its hooks, in isolation: whatever one does, the others and zoo go on."""

from __future__ import annotations

import inspect
import sys
import traceback
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
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
            ask_module(plugin, load())
            _refuse_unusable_names(plugin)
    except PluginError as error:
        plugin.fail("broken", str(error), traceback.format_exc())
    plugin.output = output.read_all()


def ask_module(plugin: Plugin, module: ModuleType) -> None:
    """Ask a plugin's module for all that it lists, whatever the names; one for another contract is not asked.

    Raises:
        PluginError: the module or a hook is not as it must be; ``hooks`` is set if the hooks are.
    """
    state, reason = judge_version(module)
    if state != "ok":
        plugin.fail(state, reason)
        return
    # A manager of its own: what one plugin does to it cannot reach another.
    manager = pluggy.PluginManager("zoo")
    manager.add_hookspecs(Hooks)
    refuse_wrong_hooks(module)
    manager.register(module, plugin.namespace)
    plugin.hooks = manager
    plugin.backbones = tuple(_list_specs(manager.hook.zoo_backbones, BackboneSpec))
    plugin.datasets = tuple(_list_specs(manager.hook.zoo_datasets, DatasetSpec))


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
    if not answers:
        return None
    spec, failed = answers[0], f"plugin {plugin.namespace} failed in zoo_find_backbone: it finds"
    if not isinstance(spec, BackboneSpec):
        raise PluginError(f"{failed} {spec!r:.80}, which is no BackboneSpec.")
    if not str(spec.name).startswith(f"{plugin.namespace}/"):
        raise PluginError(f"{failed} {spec.name!r:.80}; its names must begin with {plugin.namespace}/.")
    return spec


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


def judge_version(module: object) -> tuple[State, str]:
    """Return whether a plugin's module was written for this contract: a state, and the reason if it is not ``ok``."""
    version = getattr(module, "ZOO_API", None)
    if type(version) is not int:
        return "broken", f"its module says ZOO_API = {version!r}; it must say ZOO_API = {API_VERSION}."
    if version != API_VERSION:
        cure = "upgrade zoo" if version > API_VERSION else "upgrade the plugin"
        return "incompatible", f"written for plugin API {version}, this zoo speaks {API_VERSION}; {cure}."
    return "ok", ""


def refuse_wrong_hooks(module: ModuleType) -> None:
    """Raise PluginError for what pluggy passes over in silence, or refuses without saying what to write instead."""
    known = sorted(name for name in vars(Hooks) if name.startswith("zoo_"))
    for name, value in vars(module).items():
        is_marked = getattr(value, "zoo_impl", None) is not None
        if name in known:
            if not is_marked:
                raise PluginError(f"{name} is not marked; put @hookimpl above it.")
            _refuse_wrong_arguments(name, value)
        elif is_marked or (name.startswith("zoo_") and callable(value)):
            raise PluginError(f"{name} is no hook; the hooks are {', '.join(known)}.")


#: Parameters that take whatever is given, if anything is.
_VARIADIC = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


def _refuse_wrong_arguments(name: str, hook: Callable[..., object]) -> None:
    _, *given = inspect.signature(getattr(Hooks, name)).parameters  # the first is self
    parameters = inspect.signature(hook).parameters.values()
    needed = {own.name for own in parameters if own.default is own.empty and own.kind not in _VARIADIC}
    if wrong := sorted(needed - {*given}):
        exist = f"its arguments are {', '.join(given)}" if given else "it has none"
        raise PluginError(f"{name} has the argument {wrong[0]}, which it is not given; {exist}.")


def _list_specs(caller: pluggy.HookCaller, kind: type[T]) -> Iterator[T]:
    """Call a hook and list the specs that it returns or yields."""
    wanted = f"it must return {kind.__name__}s, or yield them"
    answers: list[object] = caller()
    if caller.get_hookimpls() and not answers:
        raise PluginError(f"{caller.name} returns nothing; {wanted}.")
    for answer in answers:
        if not isinstance(answer, Iterable):
            raise PluginError(f"{caller.name} returns {answer!r:.80}; {wanted}.")
        for spec in answer:
            if not isinstance(spec, kind):
                raise PluginError(f"it lists {spec!r:.80}, which is no {kind.__name__}.")
            yield spec


def _refuse_unusable_names(plugin: Plugin) -> None:
    """Raise PluginError for a name in another namespace, or one that is listed twice."""
    for specs in (plugin.backbones, plugin.datasets):
        counts = Counter(spec.name for spec in specs)
        for name in counts:
            if not name.startswith(f"{plugin.namespace}/"):
                raise PluginError(f"it lists {name}; its names must begin with {plugin.namespace}/.")
        if twice := sorted(name for name in counts if counts[name] > 1):
            raise PluginError(f"it lists {', '.join(twice)} more than once.")
