"""Finds what is installed, and reads the entry points in the group ``zoo``.

As ``importlib.metadata`` would, which is asked itself where something on the path is no plain folder: to import it
takes about as long as to read all of our own plugins. See ``docs/decisions/0009-installed-plugins-are-read-here.md``.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Iterator
from functools import reduce
from importlib.machinery import PathFinder
from typing import TYPE_CHECKING

from zoo.errors import PluginError

if TYPE_CHECKING:
    from importlib.metadata import Distribution

GROUP = "zoo"
#: What the folders that describe a distribution end in.
_ENDINGS = (".dist-info", ".egg-info")


class EntryPoint:
    """Where a plugin is: ``module``, or ``module:attribute``."""

    def __init__(self, name: str, value: str) -> None:
        self.name = name
        self.value = value
        #: The module's dotted name.
        self.module = value.partition("[")[0].partition(":")[0].strip()

    def load(self) -> object:
        """Import it.

        Raises:
            PluginError: its value names no module.
        """
        attribute = self.value.partition("[")[0].partition(":")[2].strip()
        steps = attribute.split(".") if attribute else []
        if not all(step.isidentifier() for step in (*self.module.split("."), *steps)):
            raise PluginError(f"its entry point is {self.value!r:.80}; it must be MODULE, or MODULE:NAME.")
        return reduce(getattr, steps, importlib.import_module(self.module))


class Installed:
    """What an installed distribution says of itself, however damaged."""

    def read(self, name: str) -> bytes:
        """Read one of the files that describe it; empty where there is none."""
        raise NotImplementedError

    def find_folder(self) -> str:
        """Return the folder that it is installed in."""
        raise NotImplementedError

    def may_hold_plugin(self) -> bool:
        """Whether its entry points mention our group."""
        return f"[{GROUP}]".encode() in self.read("entry_points.txt")

    def list_entry_points(self) -> list[EntryPoint]:
        """List its entry points in our group.

        Raises:
            PluginError: one has no name or leads nowhere.
            UnicodeDecodeError: the file is no text.
        """
        section, found = "", []
        for line in map(str.strip, self.read("entry_points.txt").decode("utf-8").splitlines()):
            if line.startswith("[") and line.endswith("]"):
                section = line[1:-1]
            elif section == GROUP and line and not line.startswith("#"):
                name, _, value = map(str.strip, line.partition("="))
                if not (name and value):
                    raise PluginError(f"entry_points.txt has {line!r:.80}; it must be NAME = MODULE.")
                found.append(EntryPoint(name, value))
        return found

    def find_name(self) -> str:
        """Return its name, empty where it has none."""
        return self._find_header("name")

    def find_version(self) -> str:
        """Return its version, empty where it has none."""
        return self._find_header("version")

    def find_place(self) -> str:
        """Return the folder that it is installed in, with its entry points: what tells the nameless apart."""
        return f"{os.path.realpath(self.find_folder())} {self.read('entry_points.txt')!r}"

    def _find_header(self, wanted: str) -> str:
        metadata = self.read("METADATA") or self.read("PKG-INFO")
        for line in metadata.decode("utf-8", "replace").splitlines():
            field, _, value = line.partition(":")
            if not line or field.lower() == wanted:  # after an empty line the description begins
                return value.strip()
        return ""


def list_installed() -> Iterator[Installed]:
    """List the installed distributions in the order of the path: of those with one name the first counts."""
    return _list_in_folders() if _are_folders(sys.path) else _list_anywhere()


def _are_folders(path: list[str]) -> bool:
    """Whether all that is installed lies in plain folders: in no archive or egg, nor behind an import hook."""
    finders = [finder for finder in sys.meta_path if hasattr(finder, "find_distributions")]
    plain = (isinstance(entry, str) and not entry.endswith(".egg") and not os.path.isfile(entry) for entry in path)
    return finders == [PathFinder] and all(plain)


def _list_in_folders() -> Iterator[Installed]:
    for entry in sys.path:
        folder = entry or "."
        try:
            names = os.listdir(folder)
        except OSError:
            continue  # a path may name what is not there
        for name in names:
            if name.lower().endswith(_ENDINGS):
                yield _InFolder(folder, name)


class _InFolder(Installed):
    """What a folder on the path holds, as pip leaves it."""

    def __init__(self, folder: str, name: str) -> None:
        self._folder = folder
        self._name = name

    def read(self, name: str) -> bytes:
        try:
            with open(os.path.join(self._folder, self._name, name), "rb", buffering=0) as file:
                return file.read()
        except OSError:
            return b""

    def find_folder(self) -> str:
        return self._folder


def _list_anywhere() -> Iterator[Installed]:
    import importlib.metadata

    return map(_Anywhere, importlib.metadata.distributions())


class _Anywhere(Installed):
    """What importlib.metadata finds."""

    def __init__(self, distribution: Distribution) -> None:
        self._distribution = distribution

    def read(self, name: str) -> bytes:
        try:
            return (self._distribution.read_text(name) or "").encode()
        except UnicodeDecodeError as error:
            return error.object
        except Exception:  # noqa: BLE001  # a stranger's import hook may answer with anything
            return b""

    def find_folder(self) -> str:
        return str(self._distribution.locate_file(""))
