"""Compare the installed version of upstream with the versions for which a backbone was declared."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Iterator

from zoo.errors import PluginError
from zoo.files.versions import list_upstream
from zoo.plugin import BackboneSpec


def list_version_notes(backbone: BackboneSpec) -> Iterator[str]:
    """Yield a note if upstream is missing, or if its version is not among the declared ones."""
    if backbone.upstream is None:
        return
    (distribution,) = list_upstream(backbone.upstream)
    installed = find_installed(distribution)
    if installed is None:
        wanted = distribution if is_exact(backbone.upstream) else f"'{backbone.upstream}'"
        yield f"{backbone.name} needs {distribution}, which is not installed; pip install {wanted}."
        return
    if not is_declared(backbone.upstream, installed):
        declared = backbone.upstream.replace("==", " ") if is_exact(backbone.upstream) else backbone.upstream
        yield (
            f"{backbone.name} was declared for {declared}, but {installed} is installed; "
            f"run `zoo check {backbone.name}` to verify it."
        )


def find_installed(distribution: str) -> str | None:
    """Return the installed version of a distribution, or None if it is not installed."""
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None


def is_declared(upstream: str, installed: str) -> bool:
    """Return whether an installed version is one for which a backbone was declared.

    Args:
        upstream: ``distribution==version``, or a distribution with a range of versions, such as ``timm>=1.0.25,<2``.
        installed: The installed version.

    Raises:
        PluginError: If the range is not valid.
    """
    if is_exact(upstream):
        # A patch release does not change architectures, and a build such as 2.15.0+cpu is the same version.
        return _read_minor(installed) == _read_minor(upstream.partition("==")[2])
    # Importing it takes 50 ms, and few backbones declare a range.
    from packaging.specifiers import InvalidSpecifier, SpecifierSet
    from packaging.version import InvalidVersion

    (distribution,) = list_upstream(upstream)
    try:
        return SpecifierSet(upstream.removeprefix(distribution)).contains(installed, prereleases=True)
    except InvalidSpecifier as error:
        raise PluginError(f"upstream={upstream!r} is not a valid range of versions: {error}.") from error
    except InvalidVersion:
        return False


def describe_installed(backbone: BackboneSpec) -> str:
    """Return upstream with its installed version, such as ``timm 1.0.31``; empty if it declares or installs none."""
    for distribution in list_upstream(backbone.upstream if isinstance(backbone.upstream, str) else None):
        if (installed := find_installed(distribution)) is not None:
            return f"{distribution} {installed}"
    return ""


def is_exact(upstream: str) -> bool:
    """Return whether exactly one version is declared, rather than a range."""
    (distribution,) = list_upstream(upstream)
    declared = upstream.removeprefix(distribution)
    return declared.startswith("==") and not declared.startswith("===") and "," not in declared and "*" not in declared


def _read_minor(version: str) -> list[str]:
    return version.partition("+")[0].split(".")[:2]
