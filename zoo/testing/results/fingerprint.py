"""Fingerprints of the code that results depend on. When this code changes, the results are outdated."""

from __future__ import annotations

import functools
import hashlib
import importlib.metadata
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from types import ModuleType

from zoo.files.download import sha256_of
from zoo.files.versions import list_upstream, read_version
from zoo.plugin import BackboneSpec
from zoo.testing.plugin_under_test import PluginUnderTest


@dataclass(frozen=True)
class Fingerprint:
    """The versions and the code that the results of a backbone depend on."""

    #: Versions, keyed by the name of the distribution.
    versions: Mapping[str, str]
    #: Digests of the files of distributions under development, which change without a new version.
    code: Mapping[str, str]


def take_fingerprints(plugin: PluginUnderTest, backbones: Iterable[BackboneSpec]) -> dict[str, Fingerprint]:
    """Return the fingerprint of each backbone of a plugin, keyed by the backbone's name."""
    modules = {"zoo": sys.modules["zoo"], plugin.distribution: plugin.module}
    code = {name: digest_code(module) for name, module in modules.items() if module is not None}
    return {backbone.name: Fingerprint(_read_versions(plugin, backbone), code) for backbone in backbones}


def _read_versions(plugin: PluginUnderTest, backbone: BackboneSpec) -> Mapping[str, str]:
    declared = backbone.upstream
    upstream = list_upstream(declared) if isinstance(declared, str) else []
    return {name: _find_version(name) for name in ("zoo", plugin.distribution, "torch", *upstream)}


@functools.cache
def _find_version(distribution: str) -> str:
    """Return the installed version of a distribution; empty if it is not installed."""
    try:
        return read_version(distribution)
    except (importlib.metadata.PackageNotFoundError, ValueError):
        return ""


def digest_code(module: ModuleType) -> str:
    """Return a digest of all files in the outermost package that contains a module, or of the module's own file.

    The list of files in the distribution's metadata is not enough, because an editable installation lists different
    files.
    """
    names = accumulate(module.__name__.split("."), "{}.{}".format)
    files = [getattr(sys.modules.get(name), "__file__", None) for name in names]  # None for a namespace package
    file = Path(next(filter(None, files), module.__file__ or ""))
    folder = file.parent
    total = hashlib.sha256()
    for path in sorted(folder.rglob("*")) if file.name == "__init__.py" else [file]:
        if path.is_file() and "__pycache__" not in path.parts and not path.name.startswith("."):
            total.update(f"{path.relative_to(folder)}\0{sha256_of(path)}\0".encode())
    return total.hexdigest()[:16]
