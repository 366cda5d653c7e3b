"""What results depend on: if it has changed, they prove nothing."""

from __future__ import annotations

import functools
import hashlib
import importlib.metadata
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from pathlib import Path
from types import ModuleType

from zoo.files.versions import read_version
from zoo.plugin import BackboneSpec
from zoo.testing.plugin_under_test import PluginUnderTest

#: Bytes above which a file is not read: its date is enough.
LARGE = 10**7


@dataclass(frozen=True)
class Fingerprint:
    """What the results of a backbone depend on."""

    #: From a distribution to its version.
    versions: Mapping[str, str]
    #: From a distribution to a digest of its files: they change without it while somebody works on them.
    code: Mapping[str, str]


class Fingerprints:
    """The fingerprint of each backbone of a plugin; code is digested once, for the first one."""

    def __init__(self, plugin: PluginUnderTest) -> None:
        self._examined = plugin

    def find(self, backbone: BackboneSpec) -> Fingerprint:
        """Find that of a backbone; what is not installed has no version."""
        declared = backbone.upstream
        upstream = [declared.partition("==")[0]] if isinstance(declared, str) else []
        names = ("zoo", self._examined.distribution, "torch", *upstream)
        return Fingerprint({name: _find_version(name) for name in names}, self._code)

    @cached_property
    def _code(self) -> Mapping[str, str]:
        owners = {"zoo": sys.modules["zoo"], self._examined.distribution: self._examined.module}
        return {name: digest_code(module) for name, module in owners.items() if module is not None}


def digest_code(module: ModuleType) -> str:
    """Digest the files of the outermost package that a module is in, data too; or its own file, if it is in none.

    The files that its distribution lists are others where it is installed with ``-e``.
    """
    names = accumulate(module.__name__.split("."), "{}.{}".format)
    files = [getattr(sys.modules.get(name), "__file__", None) for name in names]  # a namespace has none
    file = Path(next(filter(None, files), module.__file__ or ""))
    folder = file.parent
    total = hashlib.sha256()
    for path in sorted(folder.rglob("*")) if file.name == "__init__.py" else [file]:
        if path.is_file() and "__pycache__" not in path.parts and not path.name.startswith("."):
            total.update(f"{path.relative_to(folder)}\0{_describe(path)}\0".encode())
    return total.hexdigest()[:16]


def _describe(path: Path) -> str:
    about = path.stat()
    if about.st_size > LARGE:
        return f"{about.st_size} {about.st_mtime_ns}"
    return hashlib.sha256(path.read_bytes()).hexdigest()


@functools.cache
def _find_version(distribution: str) -> str:
    try:
        return read_version(distribution)
    except (importlib.metadata.PackageNotFoundError, ValueError):
        return ""
