from __future__ import annotations

import importlib.metadata
import sys
import zipfile
from importlib.machinery import PathFinder
from pathlib import Path

import pytest

import zoo.registry.entry_points
from installed_sites import LISTS, Site
from zoo.errors import PluginError
from zoo.registry.entry_points import EntryPoint, Installed, list_installed


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    """A site that is the whole path: the standard library is imported already."""
    site = Site(tmp_path / "site")
    site.folder.mkdir()
    monkeypatch.setattr(sys, "path", [str(site.folder)])
    monkeypatch.setattr(sys, "meta_path", [PathFinder])
    return site


def read(installed: Installed) -> tuple[str, str, list[tuple[str, str]]]:
    entry_points = [(entry.name, entry.value) for entry in installed.list_entry_points()]
    return installed.find_name(), installed.find_version(), entry_points


def read_plugins() -> list[tuple[str, str, list[tuple[str, str]]]]:
    return [read(installed) for installed in list_installed() if installed.may_hold_plugin()]


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Notes when importlib.metadata is asked."""
    asked: list[str] = []
    distributions = importlib.metadata.distributions

    def note() -> object:
        asked.append("distributions")
        return distributions()

    monkeypatch.setattr(importlib.metadata, "distributions", note)
    return asked


# The same as importlib.metadata.


@pytest.mark.parametrize("group", ["zoo", "console_scripts", "pytest11"])
def test_all_that_is_installed_here_is_read_as_importlib_metadata_reads_it(
    monkeypatch: pytest.MonkeyPatch, group: str
) -> None:
    monkeypatch.setattr(zoo.registry.entry_points, "GROUP", group)
    monkeypatch.setattr(sys, "meta_path", [PathFinder])  # pytest's own hook finds no distributions, others might
    path = [entry for entry in sys.path if Path(entry or ".").is_dir()]
    monkeypatch.setattr(sys, "path", path)
    theirs = [
        (found.name, found.version, [(entry.name, entry.value) for entry in found.entry_points.select(group=group)])
        for found in importlib.metadata.distributions()
    ]
    assert sorted(map(read, list_installed())) == sorted(theirs)
    assert sorted(row for row in read_plugins() if row[2]) == sorted(row for row in theirs if row[2])


def test_it_is_read_without_importlib_metadata(site: Site, asked: list[str]) -> None:
    site.add("acme")
    assert read_plugins() == [("zoo-acme", "1.5", [("acme", "plugin_zoo_acme")])]
    assert not asked


# What is no plain folder.


def test_a_plugin_in_an_archive_is_found(site: Site, asked: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    site.add("acme")
    archive = site.folder.with_suffix(".zip")
    with zipfile.ZipFile(archive, "w") as file:
        for path in site.folder.rglob("*"):
            file.write(path, path.relative_to(site.folder))
    monkeypatch.setattr(sys, "path", [str(archive)])
    assert read_plugins() == [("zoo-acme", "1.5", [("acme", "plugin_zoo_acme")])]
    assert asked


def test_a_plugin_in_an_egg_is_found(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    egg = site.folder / "acme.egg"
    (egg / "EGG-INFO").mkdir(parents=True)
    (egg / "EGG-INFO" / "PKG-INFO").write_text("Name: zoo-acme\nVersion: 2\n")
    (egg / "EGG-INFO" / "entry_points.txt").write_text("[zoo]\nacme = a\n")
    monkeypatch.setattr(sys, "path", [str(egg)])
    assert read_plugins() == [("zoo-acme", "2", [("acme", "a")])]


def test_an_import_hook_that_finds_distributions_is_asked(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    class Elsewhere(importlib.metadata.Distribution):
        def read_text(self, filename: str) -> str | None:
            files = {"METADATA": "Name: zoo-far\nVersion: 3\n", "entry_points.txt": "[zoo]\nfar = f\n"}
            return files.get(filename)

        def locate_file(self, path: object) -> Path:
            return Path("far", str(path))

    class Hook:
        find_spec = None

        @staticmethod
        def find_distributions(_context: object) -> list[importlib.metadata.Distribution]:
            return [Elsewhere()]

    site.add("acme")
    monkeypatch.setattr(sys, "meta_path", [Hook, PathFinder])
    found = {installed.find_name(): installed for installed in list_installed()}
    assert found.keys() == {"zoo-far", "zoo-acme"}
    assert read(found["zoo-far"]) == ("zoo-far", "3", [("far", "f")])
    assert "far" in found["zoo-far"].find_place()


def test_what_a_hook_s_distribution_raises_stays_there(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    class Torn(importlib.metadata.Distribution):
        def read_text(self, filename: str) -> str | None:
            raise RuntimeError(filename)

        def locate_file(self, path: object) -> Path:
            raise NotImplementedError(path)

    class Hook:
        find_spec = None

        @staticmethod
        def find_distributions(_context: object) -> list[importlib.metadata.Distribution]:
            return [Torn()]

    site.add("acme")
    monkeypatch.setattr(sys, "meta_path", [Hook, PathFinder])
    assert [name for name, _, _ in read_plugins()] == ["zoo-acme"]


def test_a_folder_that_is_not_there_and_one_for_the_current_folder_do_no_harm(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.add("acme")
    monkeypatch.chdir(site.folder)
    monkeypatch.setattr(sys, "path", [str(site.folder / "nowhere"), ""])
    assert [name for name, _, _ in read_plugins()] == ["zoo-acme"]


# The files.


def test_an_egg_info_folder_is_read_too(site: Site) -> None:
    info = site.folder / "zoo_acme.egg-info"
    info.mkdir()
    (info / "PKG-INFO").write_text("Metadata-Version: 2.1\nName: zoo-acme\nVersion: 0.1\n\nName: another\n")
    (info / "entry_points.txt").write_text("[zoo]\nacme = a\n")
    assert read_plugins() == [("zoo-acme", "0.1", [("acme", "a")])]


def test_what_the_description_says_is_no_name(site: Site) -> None:
    site.add("acme")
    (site.info("zoo-acme") / "METADATA").write_text("Metadata-Version: 2.1\n\nName: other\nVersion: 9\n")
    assert [row[:2] for row in read_plugins()] == [("", "")]


def test_other_groups_comments_and_blanks_are_passed_over(site: Site) -> None:
    text = "top = t\n[zoo]\r\n# one = 1\n\n  acme =  a.b:c [x] \nsame=d\n[zoo.other]\nfar = f\n"
    site.add("acme", entry_points=text)
    assert read_plugins() == [("zoo-acme", "1.5", [("acme", "a.b:c [x]"), ("same", "d")])]


# Entry points.


@pytest.mark.parametrize(
    ("value", "module"), [("sys", "sys"), ("os.path", "os.path"), ("os.path : join", "os.path"), ("sys [x]", "sys")]
)
def test_an_entry_point_leads_where_importlib_metadata_leads(value: str, module: str) -> None:
    entry_point = EntryPoint("acme", value)
    assert entry_point.module == module
    assert entry_point.load() is importlib.metadata.EntryPoint("acme", value, "zoo").load()


@pytest.mark.parametrize("value", ["a b!", ":x", "a..b", "sys:a b", "sys:.a"])
def test_an_entry_point_that_names_nothing_is_refused(value: str) -> None:
    with pytest.raises(PluginError, match="must be MODULE, or MODULE:NAME"):
        EntryPoint("acme", value).load()


def test_a_plugin_in_an_archive_is_listed(site: Site, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.undo()
    packed = Site(tmp_path / "packed")
    packed.add("packed", LISTS)
    archive = tmp_path / "packed.zip"
    with zipfile.ZipFile(archive, "w") as file:
        for path in packed.folder.rglob("*"):
            file.write(path, path.relative_to(packed.folder))
    assert site.list_names(PYTHONPATH=str(archive), ZOO_LOAD_PLUGINS="packed") == ["packed/net"]
