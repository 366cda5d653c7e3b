"""Versions of installed packages. run.json records them, and they decide whether a cached result is still valid."""

from __future__ import annotations

import re
from functools import cache
from importlib import metadata

#: Distribution that installs the package ``zoo``; on PyPI, the name ``zoo`` belongs to a different project.
DISTRIBUTION = "zoo-backbones"


@cache  # A run asks 22 times, and reading the metadata of a package takes a millisecond.
def read_version(package: str) -> str:
    """Return the installed version of a distribution, or of ``zoo`` itself.

    Raises:
        importlib.metadata.PackageNotFoundError: If the distribution is not installed.
    """
    return metadata.version(DISTRIBUTION if package == "zoo" else package)


def read_versions(*packages: str) -> dict[str, str]:
    """Return the installed versions of distributions by name, where ``zoo`` means zoo itself.

    Raises:
        importlib.metadata.PackageNotFoundError: If one of them is not installed.
    """
    return {package: read_version(package) for package in packages}


def list_upstream(requirement: str | None) -> list[str]:
    """Return the distribution in ``distribution==version``, or before a range; empty if a backbone has no upstream."""
    return [re.split("[=<>!~ ]", requirement, maxsplit=1)[0]] if requirement else []
