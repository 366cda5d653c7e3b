from __future__ import annotations

import os
import sys
import zipfile
from collections.abc import Callable
from importlib.machinery import PathFinder
from importlib.metadata import Distribution
from pathlib import Path

import pytest

from installed_sites import Site
from zoo.errors import NameNotFound
from zoo.registry.plugins.discovery import discover_plugins, get_claims
from zoo.registry.plugins.load import Plugin


@pytest.mark.parametrize(
    ("source", "entry_points"),
    [("", "[zoo]\nbad = nowhere_at_all\n"), ("", "[zoo]\nbad = plugin_zoo_bad:absent\n"), ("", "[zoo]\nbad = a b!\n")],
    ids=["no-module", "no-attribute", "no-reference"],
)
def test_a_plugin_with_an_invalid_entry_point_is_broken(
    site: Site, load: Callable[[], dict[str, Plugin]], source: str, entry_points: str
) -> None:
    site.add("bad", source, entry_points=entry_points)
    plugins = load()
    assert plugins["zoo-bad"].state == "broken"
    assert plugins["zoo-good"].state == "ok"


def test_the_name_of_a_distribution_is_canonicalized(site: Site, load: Callable[[], dict[str, Plugin]]) -> None:
    site.add("acme", distribution="Acme_Zoo.Plugin")
    assert load()["acme-zoo-plugin"].state == "ok"


def test_plugins_are_sorted_by_namespace(site: Site, load: Callable[[], dict[str, Plugin]]) -> None:
    site.add("zebra")
    site.add("ant")
    namespaces = [plugin.namespace for plugin in load().values()]
    assert namespaces == sorted(namespaces)
    assert {"ant", "good", "zebra"} <= set(namespaces)


# Places where plugins can be installed.


def test_a_plugin_in_a_zip_file_is_listed(site: Site) -> None:
    packed = Site(site.folder / "packed")
    packed.add("packed")
    archive = site.folder / "packed.zip"
    with zipfile.ZipFile(archive, "w") as file:
        for path in packed.folder.rglob("*"):
            file.write(path, path.relative_to(packed.folder))
    assert site.list_names(PYTHONPATH=str(archive), ZOO_LOAD_PLUGINS="packed") == ["packed/net"]


@pytest.mark.parametrize("folder", ["zoo_old.egg-info", "zoo_old.egg/EGG-INFO"])
def test_a_plugin_in_an_egg_is_found(site: Site, monkeypatch: pytest.MonkeyPatch, folder: str) -> None:
    info = site.folder / folder
    info.mkdir(parents=True)
    (info / "PKG-INFO").write_text("Metadata-Version: 2.1\nName: zoo-old\nVersion: 0.1\n\nName: another\n")
    (info / "entry_points.txt").write_text("[zoo]\nold = plugin_old\n")
    monkeypatch.syspath_prepend(str(site.folder))
    monkeypatch.syspath_prepend(str(info.parent))
    ((plugin, _),) = get_claims("old")
    assert (plugin.distribution, plugin.version) == ("zoo-old", "0.1")


def test_a_plugin_with_an_editable_install_is_listed(site: Site, tmp_path: Path) -> None:
    source = Site(tmp_path / "elsewhere")
    source.add("acme")
    (module,) = source.folder.glob("*.py")
    site.add("acme")
    (site.folder / module.name).unlink()
    (site.folder / "sitecustomize.py").write_text(f"import sys\nsys.path.append({str(source.folder)!r})\n")
    assert "acme/net" in site.list_names()


class Found(Distribution):
    """A distribution from an import hook."""

    def __init__(self, files: dict[str, str]) -> None:
        self._files = files

    def read_text(self, filename: str) -> str | None:
        if not self._files:
            raise RuntimeError(filename)
        return self._files.get(filename)

    def locate_file(self, path: object) -> Path:
        raise NotImplementedError(path)


def find_by_hook(monkeypatch: pytest.MonkeyPatch, distribution: Distribution) -> None:
    class Hook:
        find_spec = None

        @staticmethod
        def find_distributions(_context: object) -> list[Distribution]:
            return [distribution]

    monkeypatch.setattr(sys, "meta_path", [Hook, PathFinder])


def test_a_plugin_from_an_import_hook_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    files = {"METADATA": "Name: zoo-far\nVersion: 3\n", "entry_points.txt": "[zoo]\nfar = f\n"}
    find_by_hook(monkeypatch, Found(files))
    ((plugin, _),) = get_claims("far")
    assert (plugin.distribution, plugin.version) == ("zoo-far", "3")


def test_an_exception_from_the_distribution_of_an_import_hook_is_ignored(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(site.folder))
    find_by_hook(monkeypatch, Found({}))
    assert get_claims("good")


# Damaged installations.


@pytest.mark.parametrize(
    "metadata",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"\xff\xfe\x00", id="no-text"),
        pytest.param(b"Metadata-Version: 2.1\n\nName: other\nVersion: 9\n", id="only-a-description"),
    ],
)
def test_a_plugin_with_damaged_metadata_is_loaded_without_a_name(
    site: Site, load: Callable[[], dict[str, Plugin]], metadata: bytes
) -> None:
    site.add("half")
    (site.info("zoo-half") / "METADATA").write_bytes(metadata)
    plugins = load()
    assert (plugins["unknown"].namespace, plugins["unknown"].version) == ("half", "")
    assert plugins["unknown"].state == plugins["zoo-good"].state == "ok"


def test_files_instead_of_metadata_folders_and_empty_folders_are_ignored(site: Site) -> None:
    (site.folder / "zoo_file-1.0.dist-info").write_text("[zoo]\n")
    (site.folder / "zoo_empty-1.0.dist-info").mkdir()
    (site.folder / "-.dist-info" / "entry_points.txt").mkdir(parents=True)
    (site.folder / "zoo_link-1.0.dist-info").symlink_to("zoo_link-1.0.dist-info")
    result = site.run("list")
    assert (result.returncode, "good/net" in result.stdout, "damaged" in result.stderr) == (0, True, False)


def test_plugins_without_metadata_are_loaded_without_a_name(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("half", "torn"):
        site.add(name)
        (site.info(f"zoo-{name}") / "METADATA").unlink()
    monkeypatch.syspath_prepend(str(site.folder))
    found = {plugin.namespace: plugin for plugin in discover_plugins() if plugin.distribution == "unknown"}
    assert {name: (plugin.state, plugin.version) for name, plugin in found.items()} == {
        "half": ("ok", ""),
        "torn": ("ok", ""),
    }


def test_a_distribution_without_metadata_that_is_on_the_path_twice_is_one_plugin(site: Site) -> None:
    site.add("half")
    (site.info("zoo-half") / "METADATA").unlink()
    # The site is on the path and is also the working directory.
    assert {"good/net", "half/net"} <= set(site.list_names())


@pytest.mark.parametrize("entry_points", ["[zoo]\nhalf\n", "[zoo]\n = plugin_zoo_half\n[zoo]\nx\n"])
def test_a_damaged_entry_points_file_is_broken_and_affects_no_other(site: Site, entry_points: str) -> None:
    site.add("half", entry_points=entry_points)
    assert "good/net" in site.list_names()
    row = site.describe()["zoo-half"]
    assert (row["state"], row["backbones"]) == ("broken", 0)
    assert row["reason"].startswith("its installation is damaged: ")
    assert "plugin zoo-half is broken: its installation is damaged" in site.run("list").stderr


def test_a_binary_entry_points_file_is_broken_and_affects_no_other(site: Site) -> None:
    site.add("half")
    (site.info("zoo-half") / "entry_points.txt").write_bytes(b"[zoo]\n\xff = plugin_zoo_half\n")
    assert "good/net" in site.list_names()
    assert "plugin zoo-half is broken: its installation is damaged" in site.run("list").stderr
    assert site.describe()["zoo-half"]["state"] == "broken"


def test_a_damaged_distribution_without_a_plugin_is_ignored(site: Site) -> None:
    site.add("other")
    (site.info("zoo-other") / "entry_points.txt").write_bytes(b"[console_scripts]\n\xff = other\n")
    result = site.run("list")
    assert result.returncode == 0
    assert "damaged" not in result.stderr


def test_a_damaged_installation_can_be_switched_off(site: Site) -> None:
    site.add("half", entry_points="[zoo]\nhalf\n")
    assert site.describe(ZOO_DISABLE_PLUGINS="zoo-half")["zoo-half"]["state"] == "disabled"


def test_the_first_of_two_copies_on_the_path_wins(site: Site) -> None:
    older = Site(site.folder / "older")
    older.add("good", "raise ValueError\n")
    path = os.pathsep.join((str(site.folder), str(older.folder)))
    assert site.list_names(PYTHONPATH=path, ZOO_LOAD_PLUGINS="good") == ["good/net"]


# Claims.


def test_claims_are_found_without_importing_the_plugin(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    site.add("crash", "raise SystemExit\n")
    monkeypatch.syspath_prepend(str(site.folder))
    ((plugin, entry_point),) = get_claims("crash")
    assert (plugin.distribution, plugin.version, plugin.state) == ("zoo-crash", "1.5", "ok")
    assert entry_point.value == "plugin_zoo_crash"
    assert "plugin_zoo_crash" not in sys.modules


def test_every_claim_of_a_namespace_is_found(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    site.add("twins", distribution="zoo-twin-one")
    site.add("twins", distribution="zoo-twin-two")
    monkeypatch.syspath_prepend(str(site.folder))
    assert {plugin.distribution for plugin, _ in get_claims("twins")} == {"zoo-twin-one", "zoo-twin-two"}


def test_a_namespace_without_a_claim_is_an_error_that_lists_the_claimed_ones(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(site.folder))
    with pytest.raises(NameNotFound, match=r"no plugin 'godo' is installed; installed: .*\bgood\b"):
        get_claims("godo")
