"""Fixtures with real distributions: a dist-info folder and a module on sys.path, as pip would install them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from installed_sites import Site
from zoo.registry.plugins.discovery import discover_plugins
from zoo.registry.plugins.load import Plugin


@pytest.fixture
def site(tmp_path: Path) -> Site:
    site = Site(tmp_path / "site")
    site.add("good")
    return site


@pytest.fixture
def load(site: Site, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], dict[str, Plugin]]]:
    """Return a function that loads the plugins of the site in this process and returns them by distribution."""
    monkeypatch.syspath_prepend(str(site.folder))
    yield lambda: {plugin.distribution: plugin for plugin in discover_plugins()}
    for name in [name for name in sys.modules if name.startswith("plugin_")]:
        del sys.modules[name]
