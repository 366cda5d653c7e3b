"""Checks of a plugin as a whole. The checks at level static do not import torch."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from zoo.errors import DataError, PluginError
from zoo.plugin import DatasetSpec
from zoo.plugin.dataset_spec import check_dataset
from zoo.plugin.fields import NAMESPACE
from zoo.plugin.source_spec import check_source
from zoo.registry.plugins.discovery import FIRST_PARTY
from zoo.registry.plugins.load import refuse_unusable_prefixes
from zoo.testing.plugin_under_test import PluginUnderTest
from zoo.testing.results.result import CheckFailed, NotApplicable, describe_with_place
from zoo.testing.spdx import refuse_prose


def imported(plugin: PluginUnderTest) -> None:
    """Import the plugin in a fresh interpreter that allows all imports."""
    if plugin.probe.error:
        raise CheckFailed(f"importing it fails: {plugin.probe.error}.")


def light(plugin: PluginUnderTest) -> None:
    """List the plugin in a fresh interpreter."""
    if heavy := plugin.probe.heavy:
        raise CheckFailed(f"listing imports {', '.join(heavy)}; import them inside build().")


def quiet(plugin: PluginUnderTest) -> None:
    """List the plugin in a fresh interpreter."""
    if plugin.probe.traces:
        raise CheckFailed(f"listing {' and '.join(plugin.probe.traces)}; do that inside build(), or not at all.")


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


def names(plugin: PluginUnderTest) -> None:
    """Compare names, ignoring case: run folders are named after backbones, and some file systems ignore case."""
    _raise_fault(plugin, "plugin.names")


def datasets(plugin: PluginUnderTest) -> None:
    """Check every field against the contract."""
    if not plugin.datasets:
        raise NotApplicable("it provides no data sets")
    for dataset in plugin.datasets:
        check_dataset(dataset)
        if not dataset.name.startswith(f"{plugin.namespace}/"):
            raise PluginError(f"it lists the data set {dataset.name}; its name must begin with {plugin.namespace}/.")
        refuse_prose(f"the data set {dataset.name}", dataset.license)


def sources(plugin: PluginUnderTest) -> None:
    """Check every field against the contract, and the prefixes, which must not belong to other plugins."""
    if not plugin.sources:
        raise NotApplicable("it provides no data sources")
    for source in plugin.sources:
        check_source(source)
    refuse_unusable_prefixes(plugin)


def drawn(plugin: PluginUnderTest) -> None:
    """Call ``make`` twice with empty folders; data sets with a ``url`` are not downloaded."""
    own = [dataset for dataset in plugin.datasets if dataset.make is not None]
    if not own:
        raise NotApplicable("it generates no data sets")
    for dataset in own:
        if _generate(dataset) != _generate(dataset):
            raise CheckFailed(f"`make` generates a different {dataset.name} each time; use a fixed seed.")


def _generate(dataset: DatasetSpec) -> dict[str, str]:
    """Generate a data set; return the digest of each image, keyed by its path."""
    from zoo.data.sources.folder import list_folder
    from zoo.files.download import sha256_of
    from zoo.testing.isolation.side_effects import watch_side_effects

    assert dataset.make is not None, "the caller passes only data sets with make"
    with TemporaryDirectory() as place:
        folder = Path(place, "images")
        folder.mkdir()
        with watch_side_effects(first=True) as effects:
            try:
                dataset.make(folder)
            except Exception as error:  # noqa: BLE001  # it is reported
                effects.error = error
        if effects.connections:
            raise CheckFailed(
                f"the data set {dataset.name} connects to {effects.connections[0]} while it is generated; "
                "declare the `url` in the spec, and zoo will download it."
            )
        if effects.error is not None:
            raise CheckFailed(f"generating the data set {dataset.name} fails: {describe_with_place(effects.error)}.")
        try:
            images = list_folder(folder).files
        except DataError as error:
            raise CheckFailed(f"the generated data set {dataset.name} cannot be used: {error}") from error
        if not images:
            raise CheckFailed(
                f"`make` wrote no images for the data set {dataset.name}; it must write images "
                "into one folder per class."
            )
        return {image.path.relative_to(folder).as_posix(): sha256_of(image.path) for image in images}


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
