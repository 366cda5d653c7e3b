"""Checks of a plugin as a whole. The checks at level static do not import torch."""

from __future__ import annotations

import functools
import importlib.metadata
import inspect
from collections.abc import Callable, Iterator

from zoo.data.sources.prefixed import find_prefixed
from zoo.data.sources.web_archive import parse_web
from zoo.errors import DataError, PluginError
from zoo.plugin import DatasetSpec
from zoo.plugin.dataset_spec import check_dataset
from zoo.plugin.fields import NAMESPACE, checks_deferred
from zoo.plugin.source_spec import check_source
from zoo.registry.plugins.discovery import FIRST_PARTY, GROUP
from zoo.registry.plugins.listed import Listed, leave_out_unusable_prefixes
from zoo.registry.registry import Registry
from zoo.registry.registry_toml import RegistryToml
from zoo.testing.newer_fields import VERSION, list_newer
from zoo.testing.plugin_under_test import PluginUnderTest
from zoo.testing.results.place import PLACE, find_function
from zoo.testing.results.result import CannotCheck, CheckFailed, NotApplicable, describe_with_place
from zoo.testing.signatures import find_call_fault
from zoo.testing.spdx import refuse_prose

#: A name that no backbone has.
NO_NAME = "no_such_backbone_0"
#: The hooks of trackers.
EVENT_HOOKS = ("zoo_run_started", "zoo_epoch_ended", "zoo_run_finished")


def imported(plugin: PluginUnderTest) -> None:
    """Import the plugin in a fresh interpreter that allows all imports."""
    error = plugin.probe.error.rstrip(".")
    if PLACE.search(f"{error}."):
        raise CheckFailed(f"importing it fails: {error}.")
    if error:  # No line of the plugin raised it, so the entry point may be wrong.
        points = importlib.metadata.distribution(plugin.distribution).entry_points
        values = [point.value for point in points.select(group=GROUP, name=plugin.namespace)]
        raise CheckFailed(f"importing it fails: {error}; its entry point in pyproject.toml is {', '.join(values)}.")


def light(plugin: PluginUnderTest) -> None:
    """List the plugin in a fresh interpreter."""
    probe = plugin.probe
    if not probe.heavy:
        return
    heavy = ", ".join(probe.heavy)
    if probe.imported in ("", *probe.heavy):
        raise CheckFailed(f"listing imports {heavy}; import them inside build().", probe.place)
    raise CheckFailed(
        f"listing imports {probe.imported}, and thereby {heavy}; import {probe.imported} inside build().", probe.place
    )


def quiet(plugin: PluginUnderTest) -> None:
    """List the plugin in a fresh interpreter."""
    if plugin.probe.traces:
        raise CheckFailed(
            f"listing {' and '.join(plugin.probe.traces)}; do that inside build(), or not at all.",
            plugin.probe.printed_at,
        )


def requirements(plugin: PluginUnderTest) -> None:
    """Compare the distribution's metadata with the installed versions."""
    if missing := list(_list_missing(importlib.metadata.requires(plugin.distribution) or [])):
        raise CheckFailed(f"{plugin.distribution} requires {' and '.join(missing)}; install that, or require less.")


def namespace(plugin: PluginUnderTest) -> None:
    """Compare names: the distribution's name must show the namespace, so that users know what to install."""
    claimants = sorted({*plugin.claimants})
    if len(claimants) > 1:
        raise CheckFailed(f"{' and '.join(claimants)} claim the namespace {plugin.namespace}; change one of them.")
    if not NAMESPACE.fullmatch(plugin.namespace):
        raise CheckFailed(f"{plugin.namespace!r} is not a namespace; use lowercase letters, digits, '_' and '-'.")
    if (rightful := FIRST_PARTY.get(plugin.namespace, plugin.distribution)) != plugin.distribution:
        raise CheckFailed(f"the namespace {plugin.namespace} belongs to {rightful}; choose a different namespace.")
    plain = plugin.namespace.replace("_", "-")
    if not f"{plugin.distribution.removeprefix('zoo-')}-".startswith(f"{plain}-"):
        raise CheckFailed(
            f"the name of the distribution {plugin.distribution} does not contain its namespace; "
            f"call it zoo-{plain}, or name the entry point after the distribution."
        )


def api(plugin: PluginUnderTest) -> None:
    """Read ``ZOO_API``."""
    _raise_fault(plugin, "plugin.api")


def hooks(plugin: PluginUnderTest) -> None:
    """Register the module with pluggy, and find the hooks that pluggy ignores without an error."""
    _raise_fault(plugin, "plugin.hooks")


def listed(plugin: PluginUnderTest) -> None:
    """Call ``zoo_backbones``, ``zoo_datasets`` and ``zoo_data_sources``."""
    _raise_fault(plugin, "plugin.listed")


def version(plugin: PluginUnderTest) -> None:
    """Compare ``ZOO_API`` with what the backbones declare. An older zoo would accept the plugin, and then fail."""
    declared = getattr(plugin.module, "ZOO_API", VERSION)
    if declared >= VERSION:
        return
    if newer := [(backbone, found) for backbone in plugin.backbones if (found := list_newer(backbone))]:
        backbone, found = newer[0]
        more = f" (and {len(newer) - 1} more)" if len(newer) > 1 else ""
        raise CheckFailed(
            f"ZOO_API is {declared}, but {backbone.name}{more} uses {', '.join(found)}, which version {VERSION} added; "
            f"declare ZOO_API = {VERSION}.",
            plugin.made.find_place(backbone),
        )


def names(plugin: PluginUnderTest) -> None:
    """Compare names, ignoring case: run folders are named after backbones, and some file systems ignore case."""
    _raise_fault(plugin, "plugin.names")


def datasets(plugin: PluginUnderTest) -> None:
    """Check every field against the contract."""
    if not plugin.datasets:
        raise NotApplicable("it provides no data sets")
    for dataset in plugin.datasets:
        try:
            _check_dataset(plugin, dataset)
        except (CheckFailed, PluginError) as failure:
            place = getattr(failure, "place", "") or plugin.made.find_place(dataset)
            raise CheckFailed(str(failure), place) from failure


def _check_dataset(plugin: PluginUnderTest, dataset: DatasetSpec) -> None:
    check_dataset(dataset)
    if not dataset.name.startswith(f"{plugin.namespace}/"):
        raise CheckFailed(f"it lists the data set {dataset.name}; its name must begin with {plugin.namespace}/.")
    refuse_prose(f"the data set {dataset.name}", dataset.license)
    if dataset.make is not None and (fault := find_call_fault(dataset.make, "folder")):
        raise CheckFailed(f"`make` of the data set {dataset.name} {fault}.", find_function(dataset.make))
    _refuse_unknown_source(plugin, dataset)


def _refuse_unknown_source(plugin: PluginUnderTest, dataset: DatasetSpec) -> None:
    """Raise CheckFailed for a url or a source that zoo can never read, as far as this is known offline."""
    try:
        if dataset.url is not None:
            parse_web(dataset.url)
        elif dataset.source is not None:
            find_prefixed(dataset.source, Registry([plugin], RegistryToml()))
    except DataError as error:
        if "; install zoo-backbones[" not in str(error):  # A missing package is not the plugin's fault.
            field = "source" if dataset.url is None else "url"
            raise CheckFailed(f"the {field} of the data set {dataset.name} cannot be used: {error}") from error


def sources(plugin: PluginUnderTest) -> None:
    """Check every field against the contract, and the prefixes, which must not belong to other plugins."""
    if not plugin.sources:
        raise NotApplicable("it provides no data sources")
    for source in plugin.sources:
        check_source(source)
        if fault := find_call_fault(source.fetch, "name", "folder"):
            raise CheckFailed(f"`fetch` of the data source {source.prefix}: {fault}.", find_function(source.fetch))
    if problems := leave_out_unusable_prefixes(Listed(plugin.sources), plugin.namespace).problems:
        raise problems[0]


def drawn(plugin: PluginUnderTest) -> None:
    """Call ``make`` twice with empty folders; data sets with a ``url`` are not downloaded."""
    own = [dataset for dataset in plugin.datasets if dataset.make is not None]
    if not own:
        raise NotApplicable("it generates no data sets")
    from zoo.testing.drawn_data import draw

    for dataset in own:
        if draw(dataset) != draw(dataset):
            raise CheckFailed(f"`make` generates a different {dataset.name} each time; use a fixed seed.")


def finds(plugin: PluginUnderTest) -> None:
    """Ask for a name that no backbone has; the hook must return None, so that zoo can say what exists."""
    if plugin.hooks is None or not plugin.hooks.hook.zoo_find_backbone.get_hookimpls():
        raise NotApplicable("it finds no unlisted backbones")
    from zoo.testing.isolation.side_effects import watch_side_effects

    hook, found = vars(plugin.module)["zoo_find_backbone"], None
    with watch_side_effects(first=True) as effects, checks_deferred():
        try:
            found = hook(NO_NAME)
        except Exception as error:  # noqa: BLE001  # it is reported
            effects.error = error
    if effects.connections:
        raise CannotCheck(
            f"zoo_find_backbone connects to {effects.connections[0]}, and this check opens no connections"
        )
    if effects.error is not None:
        raise CheckFailed(
            f"for an unknown name, zoo_find_backbone raises {describe_with_place(effects.error)}; return None."
        ) from effects.error
    if found is not None:
        raise CheckFailed(
            f"zoo_find_backbone returns {found!r:.60} for {NO_NAME!r}; return None for a name that no backbone has.",
            find_function(hook),
        )


def tracked(plugin: PluginUnderTest) -> None:
    """Train a tiny network in a temporary folder, and call the event hooks with its events."""
    module = vars(plugin.module) if plugin.module else {}
    hooks = {name: module[name] for name in EVENT_HOOKS if callable(module.get(name))}
    if not hooks:
        raise NotApplicable("it follows no runs")
    from zoo.testing.tracking import track_run

    track_run({name: _accept_arguments(hook) for name, hook in hooks.items()})


def _accept_arguments(hook: Callable[..., object]) -> Callable[..., object]:
    """Return a function that passes on only the arguments that the hook takes, as pluggy does."""
    known = inspect.signature(hook).parameters

    @functools.wraps(hook)
    def call(**arguments: object) -> object:
        return hook(**{name: value for name, value in arguments.items() if name in known})

    return call


def _raise_fault(plugin: PluginUnderTest, check: str) -> None:
    if check in plugin.faults:
        raise CheckFailed(plugin.faults[check])


def _list_missing(required: list[str]) -> Iterator[str]:
    """List the requirements that are not installed, each with the reason."""
    from packaging.requirements import Requirement

    for text in required:
        requirement = Requirement(text)
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
            try:
                installed = importlib.metadata.version(requirement.name)
                if not requirement.specifier.contains(installed, prereleases=True):
                    yield f"{text}, but {installed} is installed"
            except importlib.metadata.PackageNotFoundError:
                yield f"{text}, which is not installed"
