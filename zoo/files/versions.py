"""Versions of installed packages: they stand in run.json, and decide whether a cached result is still valid."""

from __future__ import annotations

from importlib import metadata

#: The distribution that installs the package ``zoo``; on the public index, the name ``zoo`` belongs to another project.
DISTRIBUTION = "zoo-backbones"


def read_version(package: str) -> str:
    """Return the installed version of a distribution, or of ``zoo``.

    Raises:
        importlib.metadata.PackageNotFoundError: it is not installed.
    """
    return metadata.version(DISTRIBUTION if package == "zoo" else package)


def read_versions(*packages: str) -> dict[str, str]:
    """Return the installed versions of distributions by name; ``zoo`` stands for its own.

    Raises:
        importlib.metadata.PackageNotFoundError: one of them is not installed.
    """
    return {package: read_version(package) for package in packages}
