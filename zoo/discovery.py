"""Finds plugins behind entry points and loads each in isolation: whatever one does, the others and zoo go on."""

from __future__ import annotations

import importlib.metadata
import io
import os
import sys
import traceback
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.metadata import EntryPoint
from types import ModuleType
from typing import Any, Literal, TypeVar

import pluggy

from zoo.contract import NAMESPACE
from zoo.errors import PluginError
from zoo.plugin import API_VERSION, BackboneSpec, DatasetSpec, Hooks

T = TypeVar("T")
State = Literal["ok", "disabled", "conflict", "incompatible", "broken"]

#: Namespaces that only these distributions may claim.
FIRST_PARTY = {"torchvision": "zoo-torchvision", "timm": "zoo-timm", "tiny": "zoo-tiny"}

#: Modules that take seconds to import, and that listing must do without.
HEAVY = frozenset({"torch", "torchvision", "timm", "numpy"})


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


def discover_plugins() -> list[Plugin]:
    """Find and load all installed plugins that the environment allows, sorted by namespace."""
    by_namespace: defaultdict[str, list[EntryPoint]] = defaultdict(list)
    for entry_point in importlib.metadata.entry_points(group="zoo"):
        by_namespace[entry_point.name].append(entry_point)
    return [plugin for namespace in sorted(by_namespace) for plugin in _claim(namespace, by_namespace[namespace])]


def load_plugin(plugin: Plugin, load_module: Callable[[], object]) -> None:
    """Load one plugin and ask for what it lists; any failure is written into ``plugin``."""
    with _contained(plugin):
        module = load_module()
        if not _speaks_our_version(plugin, module):
            return
        # A manager of its own: what one plugin does to it cannot reach another.
        manager = pluggy.PluginManager("zoo")
        manager.add_hookspecs(Hooks)
        manager.register(module, plugin.namespace)
        _refuse_misspelt_hooks(module)
        plugin.backbones = _ask(manager.hook.zoo_backbones, BackboneSpec, plugin.namespace)
        plugin.datasets = _ask(manager.hook.zoo_datasets, DatasetSpec, plugin.namespace)
        plugin.hooks = manager


def call_hook(plugin: Plugin, hook: str, **arguments: Any) -> list[Any]:
    """Call one hook of one plugin; a failure takes the plugin out of use and gives an empty list."""
    answers: list[Any] = []
    if plugin.hooks is not None:
        caller = getattr(plugin.hooks.hook, hook)
        # A tracker may print, but stdout belongs to the answer of the command.
        with _without_failing(plugin), redirect_stdout(sys.stderr):
            answers = caller(**arguments)
    return answers


def find_unlisted(plugin: Plugin, name: str) -> BackboneSpec | None:
    """Ask a plugin for a backbone that it does not list, ``name`` without the namespace."""
    found: list[BackboneSpec] = []
    answers = call_hook(plugin, "zoo_find_backbone", name=name)
    with _without_failing(plugin):
        found = [_checked(answer, BackboneSpec, plugin.namespace) for answer in answers]
    return found[0] if found else None


def list_unknown_names(plugins: Iterable[Plugin]) -> list[str]:
    """List what ZOO_LOAD_PLUGINS and ZOO_DISABLE_PLUGINS name though it is not installed: misspelt, most likely."""
    known = {name for plugin in plugins for name in (plugin.namespace, plugin.distribution)}
    variables = ("ZOO_LOAD_PLUGINS", "ZOO_DISABLE_PLUGINS")
    named = {name for variable in variables for name in _names(os.environ.get(variable, ""))}
    return sorted(named - known)


def _claim(namespace: str, entry_points: Sequence[EntryPoint]) -> list[Plugin]:
    """Load the one entry point that may have the namespace, and say why the others may not."""
    plugins = [_describe(entry_point) for entry_point in entry_points]
    contenders = [plugin.distribution for plugin in plugins if _is_allowed(plugin)]
    for plugin, entry_point in zip(plugins, entry_points, strict=True):
        if not _is_allowed(plugin):
            plugin.fail("disabled", "switched off by ZOO_LOAD_PLUGINS or ZOO_DISABLE_PLUGINS.")
        elif not NAMESPACE.fullmatch(namespace):
            plugin.fail("broken", f"{namespace!r} is no namespace: use lower-case letters, digits, '_' and '-'.")
        elif (rightful := FIRST_PARTY.get(namespace, plugin.distribution)) != plugin.distribution:
            plugin.fail("conflict", f"the namespace {namespace} belongs to {rightful}; choose another one.")
        elif namespace not in FIRST_PARTY and len(contenders) > 1:
            plugin.fail("conflict", f"{' and '.join(contenders)} claim the same namespace; disable one of them.")
        else:
            load_plugin(plugin, entry_point.load)
    return plugins


def _describe(entry_point: EntryPoint) -> Plugin:
    distribution = entry_point.dist
    if distribution is None:
        return Plugin(entry_point.name, "unknown", "")
    return Plugin(entry_point.name, _canonical(distribution.name), distribution.version)


def _canonical(distribution: str) -> str:
    return distribution.lower().replace("_", "-").replace(".", "-")


def _is_allowed(plugin: Plugin) -> bool:
    names = {plugin.namespace, plugin.distribution}
    wanted = os.environ.get("ZOO_LOAD_PLUGINS")
    if wanted is not None and not names & _names(wanted):
        return False
    return not names & _names(os.environ.get("ZOO_DISABLE_PLUGINS", ""))


def _names(value: str) -> set[str]:
    return {name.strip() for name in value.split(",") if name.strip()}


def _speaks_our_version(plugin: Plugin, module: object) -> bool:
    version = getattr(module, "ZOO_API", None)
    if type(version) is not int:
        plugin.fail("broken", f"its module says ZOO_API = {version!r}; it must say ZOO_API = {API_VERSION}.")
    elif version != API_VERSION:
        cure = "upgrade zoo" if version > API_VERSION else "upgrade the plugin"
        plugin.fail("incompatible", f"written for plugin API {version}, this zoo speaks {API_VERSION}; {cure}.")
    return plugin.state == "ok"


def _refuse_misspelt_hooks(module: object) -> None:
    """Name what is marked as a hook but is none; pluggy itself would pass over it in silence."""
    known = sorted(name for name in vars(Hooks) if name.startswith("zoo_"))
    for name, value in vars(module).items() if isinstance(module, ModuleType) else ():
        marked = getattr(value, "zoo_impl", None) is not None
        if (marked or (name.startswith("zoo_") and callable(value))) and name not in known:
            raise PluginError(f"{name} is no hook; the hooks are {', '.join(known)}.")
        if name in known and not marked:
            raise PluginError(f"{name} is not marked; put @hookimpl above it.")


def _ask(caller: Callable[[], list[Any]], kind: type[T], namespace: str) -> tuple[T, ...]:
    specs: list[T] = []
    for answer in caller():
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


@contextmanager
def _contained(plugin: Plugin) -> Iterator[None]:
    """Keep what a plugin raises, prints and imports while it is loaded from everybody else."""
    output = io.StringIO()
    guard = _NoHeavyImports()
    sys.meta_path.insert(0, guard)
    try:
        with _without_failing(plugin), redirect_stdout(output), redirect_stderr(output):
            yield
    finally:
        sys.meta_path.remove(guard)
        plugin.output = output.getvalue()


@contextmanager
def _without_failing(plugin: Plugin) -> Iterator[None]:
    try:
        yield
    except PluginError as error:
        plugin.fail("broken", str(error), traceback.format_exc())
    except (Exception, SystemExit) as error:  # noqa: BLE001  # strangers' code may raise anything
        plugin.fail("broken", f"{type(error).__name__}: {_one_line(error)}", traceback.format_exc())


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split()) or "no message"


class _NoHeavyImports(MetaPathFinder):
    """Refuses to import what takes seconds; the contract's promise is kept by force, for advice alone is forgotten."""

    def find_spec(self, fullname: str, path: object, target: object = None) -> ModuleSpec | None:  # noqa: ARG002
        if fullname in HEAVY:
            raise PluginError(f"it imports {fullname} while it is listed; import it inside build().")
        return None
