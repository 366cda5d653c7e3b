"""Load the module of a plugin and call its hooks, so that a failure affects neither zoo nor other plugins."""

from __future__ import annotations

import inspect
import sys
import traceback
from collections.abc import Callable
from contextlib import redirect_stdout
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint
from types import ModuleType
from typing import Any, Literal

import pluggy

from zoo.errors import PluginError
from zoo.plugin import API_VERSION, BackboneSpec, DatasetSpec, Hooks, SourceSpec
from zoo.plugin.hooks import ACCEPTED_VERSIONS
from zoo.plugin.made_specs import MadeSpecs, recording_specs
from zoo.registry.plugins.crash_note import naming_if_slow
from zoo.registry.plugins.isolation import Output, failing_as_plugin_error, isolated
from zoo.registry.plugins.listed import Listed, leave_out_unusable_names, leave_out_unusable_prefixes, list_specs
from zoo.registry.plugins.process_guard import LOADING, guarding_process
from zoo.registry.plugins.stream_guard import guarding_streams

State = Literal["ok", "incomplete", "disabled", "conflict", "incompatible", "broken"]


@dataclass
class Plugin:
    """An installed plugin: what it provides, or why it cannot be used."""

    namespace: str
    distribution: str
    version: str
    state: State = "ok"
    #: Reason on one line if the state is not ``ok``.
    reason: str = ""
    #: Traceback of the failure, for ``--debug``.
    details: str = ""
    #: Everything that the plugin printed while it was loading.
    output: str = ""
    backbones: tuple[BackboneSpec, ...] = ()
    datasets: tuple[DatasetSpec, ...] = ()
    sources: tuple[SourceSpec, ...] = ()
    #: Why some of the specs that it lists cannot be used. They are missing above, and all others are there.
    problems: tuple[PluginError, ...] = field(default=(), repr=False)
    hooks: pluggy.PluginManager | None = field(default=None, repr=False)

    @property
    def is_usable(self) -> bool:
        """Whether the plugin can be used, at least in part."""
        return self.state in ("ok", "incomplete")

    def fail(self, state: State, reason: str, details: str = "") -> None:
        """Record why the plugin cannot be used, and drop what it provides."""
        self.state, self.reason, self.details = state, reason, details
        self.backbones, self.datasets, self.sources, self.hooks = (), (), (), None
        self.problems = ()


def load_plugin(plugin: Plugin, load: Callable[[], ModuleType]) -> None:
    """Load a plugin and list what it provides. A failure is recorded in ``plugin``.

    Args:
        plugin: The plugin, which is changed in place.
        load: Function that imports the plugin's module.
    """
    output = Output()
    try:
        # The innermost context keeps odd exceptions away from the guards.
        with (
            LOADING, guarding_streams(), isolated(output), guarding_process(plugin.namespace), failing_as_plugin_error()
        ):  # fmt: skip
            with recording_specs(MadeSpecs()) as made:
                read_module(plugin, load(), made)
            _leave_out_unusable_names(plugin)
            _report_problems(plugin)
    except PluginError as error:
        plugin.fail("broken", str(error), _format_traceback())
    plugin.output = output.read_all()


def _leave_out_unusable_names(plugin: Plugin) -> None:
    backbones = leave_out_unusable_names(Listed(plugin.backbones), plugin.namespace)
    datasets = leave_out_unusable_names(Listed(plugin.datasets), plugin.namespace)
    sources = leave_out_unusable_prefixes(Listed(plugin.sources), plugin.namespace)
    plugin.backbones, plugin.datasets, plugin.sources = backbones.specs, datasets.specs, sources.specs
    plugin.problems += (*backbones.problems, *datasets.problems, *sources.problems)


def _report_problems(plugin: Plugin) -> None:
    """Record the first problem as the reason. If no listed spec can be used, the plugin is broken."""
    if not plugin.problems:
        return
    first, more = plugin.problems[0], len(plugin.problems) - 1
    if not (plugin.backbones or plugin.datasets or plugin.sources):
        raise first
    rest = f" `zoo check {plugin.namespace}` shows {more} more." if more else ""
    plugin.state, plugin.reason = "incomplete", f"{first}{rest}"
    plugin.details = "".join(traceback.format_exception(first))


def _format_traceback() -> str:
    """Format the exception that is being handled, unless its cause is an exception that cannot be formatted."""
    try:
        return traceback.format_exc()
    except Exception:  # noqa: BLE001  # An exception of a plugin may raise anything when its attributes are read.
        return ""


def read_module(plugin: Plugin, module: ModuleType, made: MadeSpecs) -> None:
    """List the backbones, data sets and data sources of a plugin's module, without checking their names.

    The hooks of a module that is written for a different version of the contract are not called. Specs that cannot be
    used are left out, and recorded as problems of the plugin.

    Raises:
        PluginError: If the module breaks the contract.
    """
    state, reason = check_version(module)
    if state != "ok":
        plugin.fail(state, reason)
        return
    # Each plugin has its own manager, so that it cannot affect others through it.
    manager = pluggy.PluginManager("zoo")
    manager.add_hookspecs(Hooks)
    refuse_wrong_hooks(module)
    manager.register(module, plugin.namespace)
    plugin.hooks = manager
    backbones = list_specs(manager.hook.zoo_backbones, BackboneSpec, made)
    datasets = list_specs(manager.hook.zoo_datasets, DatasetSpec, made)
    sources = list_specs(manager.hook.zoo_data_sources, SourceSpec, made)
    plugin.backbones, plugin.datasets, plugin.sources = backbones.specs, datasets.specs, sources.specs
    plugin.problems = (*backbones.problems, *datasets.problems, *sources.problems)


def call_hook(plugin: Plugin, hook: str, **arguments: Any) -> list[Any]:
    """Call a hook of a plugin.

    Returns:
        The results of the hook other than None; empty if the plugin lacks the hook or cannot be used.

    Raises:
        PluginError: If the hook raises. The message is one line and names the plugin and the hook.
    """
    if plugin.hooks is None:
        return []
    try:
        # A tracker may print, but stdout is reserved for the result of the command.
        with failing_as_plugin_error(), redirect_stdout(sys.stderr):
            return getattr(plugin.hooks.hook, hook)(**arguments)  # type: ignore[no-any-return]  # pluggy has no types
    except PluginError as error:
        raise PluginError(f"plugin {plugin.namespace} failed in {hook}: {error}") from error


def find_unlisted(plugin: Plugin, name: str) -> BackboneSpec | None:
    """Find a backbone that a plugin does not list.

    Args:
        plugin: The plugin.
        name: The name of the backbone without the namespace.

    Raises:
        PluginError: If the plugin fails or returns something that is not a backbone of its namespace.
    """
    with naming_if_slow(plugin.namespace, f"waiting for zoo_find_backbone of the plugin {plugin.namespace}"):
        results = call_hook(plugin, "zoo_find_backbone", name=name)
    if not results:
        return None
    spec, failed = results[0], f"plugin {plugin.namespace} failed in zoo_find_backbone: it returns"
    if not isinstance(spec, BackboneSpec):
        raise PluginError(f"{failed} {spec!r:.80}, which is not a BackboneSpec.")
    if not str(spec.name).startswith(f"{plugin.namespace}/"):
        raise PluginError(f"{failed} {spec.name!r:.80}; its names must begin with {plugin.namespace}/.")
    return spec


def load_module(entry_point: EntryPoint) -> ModuleType:
    """Import the module that an entry point names.

    Raises:
        PluginError: If the entry point does not name a module. Exceptions of the module itself are not caught.
    """
    if not entry_point.pattern.match(entry_point.value):
        raise PluginError(f"its entry point is {entry_point.value!r:.80}; it must be MODULE, or MODULE:NAME.")
    module = entry_point.load()
    if not isinstance(module, ModuleType):
        raise PluginError(f"its entry point is a {type(module).__name__}; it must be a module.")
    return module


def check_version(module: object) -> tuple[State, str]:
    """Return the state of a plugin according to the version in its module, and the reason if it is not ``ok``."""
    version = getattr(module, "ZOO_API", None)
    if type(version) is not int:
        return "broken", f"its ZOO_API is {version!r}; it must be {' or '.join(map(str, ACCEPTED_VERSIONS))}."
    if version not in ACCEPTED_VERSIONS:
        advice = "upgrade zoo" if version > API_VERSION else "upgrade the plugin"
        accepted = " and ".join(map(str, ACCEPTED_VERSIONS))
        return (
            "incompatible",
            f"it was written for plugin API {version}, but this zoo accepts {accepted}; {advice}.",
        )
    return "ok", ""


def refuse_wrong_hooks(module: ModuleType) -> None:
    """Reject hooks with mistakes that pluggy ignores, or reports without saying how to fix them.

    Raises:
        PluginError: If a hook is misspelled, is not marked, or has an unknown argument.
    """
    known = sorted(name for name in vars(Hooks) if name.startswith("zoo_"))
    for name, value in vars(module).items():
        is_marked = getattr(value, "zoo_impl", None) is not None
        if name in known:
            if not is_marked:
                raise PluginError(f"{name} is not marked; put @hookimpl above it.")
            _refuse_wrong_arguments(name, value)
        elif is_marked or (name.startswith("zoo_") and callable(value)):
            raise PluginError(f"{name} is not a hook; the hooks are {', '.join(known)}.")


#: Kinds of parameters that need no argument.
_VARIADIC = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


def _refuse_wrong_arguments(name: str, hook: Callable[..., object]) -> None:
    _, *known = inspect.signature(getattr(Hooks, name)).parameters  # the first is self
    parameters = inspect.signature(hook).parameters.values()
    needed = {own.name for own in parameters if own.default is own.empty and own.kind not in _VARIADIC}
    if wrong := sorted(needed - {*known}):
        raise PluginError(f"{name} has the unknown argument {wrong[0]}; it takes {', '.join(known) or 'no arguments'}.")
