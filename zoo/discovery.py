"""Finds plugins behind entry points and loads each in isolation: whatever one does, the others and zoo go on."""

from __future__ import annotations

import importlib.metadata
import os
import sys
import traceback
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass, field
from importlib.metadata import Distribution, EntryPoint
from types import ModuleType
from typing import Any, Literal, TypeVar

import pluggy

from zoo.containment import Output, contained, describe_in_one_line, failing_as_plugin_error
from zoo.contract import NAMESPACE
from zoo.errors import NameNotFound, PluginError
from zoo.plugin import API_VERSION, BackboneSpec, DatasetSpec, Hooks

T = TypeVar("T")
State = Literal["ok", "disabled", "conflict", "incompatible", "broken"]

#: Namespaces that only these distributions may claim.
FIRST_PARTY = {"torchvision": "zoo-torchvision", "timm": "zoo-timm", "tiny": "zoo-tiny"}


SWITCHED_OFF = "switched off by ZOO_LOAD_PLUGINS or ZOO_DISABLE_PLUGINS."


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


Claim = tuple[Plugin, EntryPoint]


def discover_plugins() -> list[Plugin]:
    """Find and load all installed plugins that the environment allows, sorted by namespace."""
    claims, damaged = _scan()
    for namespace, claimants in claims.items():
        _load_claims(namespace, claimants)
    found = [plugin for claimants in claims.values() for plugin, _ in claimants]
    return sorted([*found, *damaged], key=lambda plugin: (plugin.namespace, plugin.distribution))


def find_claims(namespace: str) -> list[Claim]:
    """Find the installed plugins that claim a namespace, without loading any of them.

    Raises:
        NameNotFound: none does, or it is switched off; the message lists the namespaces that are claimed.
    """
    claims, _ = _scan()
    if namespace not in claims:
        known = ", ".join(sorted(claims)) or "none"
        raise NameNotFound(f"no plugin {namespace!r} is installed; installed are {known}.")
    allowed = [claim for claim in claims[namespace] if _is_allowed(claim[0])]
    if not allowed:
        raise NameNotFound(f"the plugin {namespace} is {SWITCHED_OFF}")
    return allowed


def _scan() -> tuple[dict[str, list[Claim]], list[Plugin]]:
    """Read what all installed distributions claim; returns the claims by namespace, and what is damaged."""
    claims: defaultdict[str, list[Claim]] = defaultdict(list)
    damaged: list[Plugin] = []
    seen: set[str] = set()
    for distribution in importlib.metadata.distributions():
        installed = _Installed(distribution)
        # Most distributions have no plugin: look before their metadata is parsed, which takes a while.
        if not installed.may_hold_plugin():
            continue
        name = installed.find_name()
        if (name or installed.find_place()) in seen:
            continue  # an older copy, further down the path, or the same one again
        seen.add(name or installed.find_place())
        try:
            for entry_point in distribution.entry_points.select(group="zoo"):
                plugin = Plugin(entry_point.name, name or "unknown", installed.find_version())
                claims[entry_point.name].append((plugin, entry_point))
        except Exception as error:  # noqa: BLE001  # whatever is wrong with one installation stays there
            damaged.append(_describe_damaged(name or "unknown", installed.find_version(), error))
    return claims, damaged


def _describe_damaged(name: str, version: str, error: Exception) -> Plugin:
    plugin = Plugin(name, name, version)
    if _is_allowed(plugin):
        plugin.fail("broken", f"its installation is damaged: {describe_in_one_line(error)}")
    else:
        plugin.fail("disabled", SWITCHED_OFF)
    return plugin


def load_plugin(plugin: Plugin, load_module: Callable[[], object]) -> None:
    """Load one plugin and ask for what it lists; any failure is written into ``plugin``."""
    output = Output()
    try:
        with contained(output):
            _load(plugin, load_module())
    except PluginError as error:
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


def list_unknown_names(plugins: Iterable[Plugin]) -> list[str]:
    """List what ZOO_LOAD_PLUGINS and ZOO_DISABLE_PLUGINS name though it is not installed: misspelt, most likely."""
    known = {name for plugin in plugins for name in (plugin.namespace, plugin.distribution)}
    variables = ("ZOO_LOAD_PLUGINS", "ZOO_DISABLE_PLUGINS")
    named = {name for variable in variables for name in _split_names(os.environ.get(variable, ""))}
    return sorted(name for name in named if name not in known and _canonical(name) not in known)


def _load_claims(namespace: str, claims: Sequence[Claim]) -> None:
    """Load the one plugin that may have the namespace, and say why the others may not."""
    contenders = [plugin.distribution for plugin, _ in claims if _is_allowed(plugin)]
    for plugin, entry_point in claims:
        if not _is_allowed(plugin):
            plugin.fail("disabled", SWITCHED_OFF)
        elif not NAMESPACE.fullmatch(namespace):
            plugin.fail("broken", f"{namespace!r} is no namespace: use lower-case letters, digits, '_' and '-'.")
        elif (rightful := FIRST_PARTY.get(namespace, plugin.distribution)) != plugin.distribution:
            plugin.fail("conflict", f"the namespace {namespace} belongs to {rightful}; choose another one.")
        elif namespace not in FIRST_PARTY and len(contenders) > 1:
            plugin.fail("conflict", f"{' and '.join(contenders)} claim the same namespace; disable one of them.")
        else:
            load_plugin(plugin, entry_point.load)


class _Installed:
    """What an installed distribution says of itself, however damaged."""

    def __init__(self, distribution: Distribution) -> None:
        self._distribution = distribution

    def may_hold_plugin(self) -> bool:
        """Whether its entry points mention our group; a file that is no text may."""
        try:
            return "[zoo]" in (self._distribution.read_text("entry_points.txt") or "")
        except UnicodeDecodeError as error:
            return b"[zoo]" in error.object
        except OSError:
            return False

    def find_name(self) -> str:
        """Return the canonical name, empty where it has none."""
        try:
            return _canonical(self._distribution.name or "")
        except Exception:  # noqa: BLE001  # metadata that cannot be parsed names nothing
            return ""

    def find_place(self) -> str:
        """Return the folder that it is installed in, with its entry points: what tells the nameless apart."""
        try:
            entries = self._distribution.read_text("entry_points.txt")
        except (UnicodeDecodeError, OSError) as error:
            entries = str(error)
        return f"{os.path.realpath(str(self._distribution.locate_file('')))} {entries}"

    def find_version(self) -> str:
        """Return the version, empty where it has none."""
        try:
            return self._distribution.version or ""
        except Exception:  # noqa: BLE001  # metadata that cannot be parsed names nothing
            return ""


def _canonical(distribution: str) -> str:
    return distribution.lower().replace("_", "-").replace(".", "-")


def _is_allowed(plugin: Plugin) -> bool:
    names = {plugin.namespace, plugin.distribution}
    wanted = os.environ.get("ZOO_LOAD_PLUGINS")
    if wanted is not None and not names & _read_names(wanted):
        return False
    return not names & _read_names(os.environ.get("ZOO_DISABLE_PLUGINS", ""))


def _read_names(value: str) -> set[str]:
    return {spelling for name in _split_names(value) for spelling in (name, _canonical(name))}


def _split_names(value: str) -> set[str]:
    return {name.strip() for name in value.split(",") if name.strip()}


def _load(plugin: Plugin, module: object) -> None:
    if not isinstance(module, ModuleType):
        raise PluginError(f"its entry point is a {type(module).__name__}; it must be a module.")
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
