"""Compare the installed version of upstream with the version for which a backbone was declared."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Iterator

from zoo.plugin import BackboneSpec


def list_version_notes(backbone: BackboneSpec) -> Iterator[str]:
    """Yield a note if upstream is missing, or if its minor version differs from the declared one."""
    if backbone.upstream is None:
        return
    distribution, _, read_from = backbone.upstream.partition("==")
    try:
        installed = importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        yield f"{backbone.name} needs {distribution}, which is not installed; pip install {distribution}."
        return
    # A patch release does not change architectures, and a build such as 2.15.0+cpu is the same version.
    if _read_minor(installed) != _read_minor(read_from):
        yield (
            f"{backbone.name} was declared for {distribution} {read_from}, but {installed} is installed; "
            f"run `zoo check {backbone.name}` to verify it."
        )


def _read_minor(version: str) -> list[str]:
    return version.partition("+")[0].split(".")[:2]
