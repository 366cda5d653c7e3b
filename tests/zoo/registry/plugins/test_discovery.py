from __future__ import annotations

import os
import sys
from collections.abc import Callable

import pytest

from installed_sites import Site
from zoo.errors import NameNotFound
from zoo.registry.discovery import discover_plugins, find_claims
from zoo.registry.load_plugin import Plugin


@pytest.mark.parametrize(
    ("source", "entry_points"),
    [("", "[zoo]\nbad = nowhere_at_all\n"), ("", "[zoo]\nbad = plugin_zoo_bad:absent\n"), ("", "[zoo]\nbad = a b!\n")],
    ids=["no-module", "no-attribute", "no-reference"],
)
def test_an_entry_point_that_points_nowhere_is_broken(
    site: Site, load: Callable[[], dict[str, Plugin]], source: str, entry_points: str
) -> None:
    site.add("bad", source, entry_points=entry_points)
    plugins = load()
    assert plugins["zoo-bad"].state == "broken"
    assert plugins["zoo-good"].state == "ok"


def test_an_underscore_in_the_name_of_a_distribution_is_a_dash(
    site: Site, load: Callable[[], dict[str, Plugin]]
) -> None:
    site.add("acme", distribution="Acme_Zoo.Plugin")
    assert load()["acme-zoo-plugin"].state == "ok"


def test_plugins_come_sorted_by_namespace(site: Site, load: Callable[[], dict[str, Plugin]]) -> None:
    site.add("zebra")
    site.add("ant")
    namespaces = [plugin.namespace for plugin in load().values()]
    assert namespaces == sorted(namespaces)
    assert {"ant", "good", "zebra"} <= set(namespaces)


# Damaged installations.


def test_distributions_without_metadata_are_plugins_without_a_name_for_it(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("half", "torn"):
        site.add(name)
        (site.info(f"zoo-{name}") / "METADATA").unlink()
    monkeypatch.syspath_prepend(str(site.folder))
    found = {plugin.namespace: plugin for plugin in discover_plugins() if plugin.distribution == "unknown"}
    assert {name: (plugin.state, plugin.version) for name, plugin in found.items()} == {
        "half": ("ok", ""),
        "torn": ("ok", ""),
    }


def test_a_distribution_without_metadata_to_which_two_entries_of_the_path_lead_is_one_plugin(site: Site) -> None:
    site.add("half")
    (site.info("zoo-half") / "METADATA").unlink()
    # The site is on the path, and it is the current folder, too.
    assert {"good/net", "half/net"} <= set(site.list_names())


@pytest.mark.parametrize("entry_points", ["[zoo]\nhalf\n", "[zoo]\n = plugin_zoo_half\n[zoo]\nx\n"])
def test_a_damaged_entry_points_file_is_broken_by_name_and_takes_nothing_down(site: Site, entry_points: str) -> None:
    site.add("half", entry_points=entry_points)
    assert "good/net" in site.list_names()
    row = site.describe()["zoo-half"]
    assert (row["state"], row["backbones"]) == ("broken", 0)
    assert row["reason"].startswith("its installation is damaged: ")
    assert "plugin zoo-half is broken: its installation is damaged" in site.run("list").stderr


def test_an_entry_points_file_that_is_no_text_is_broken_by_name_and_takes_nothing_down(site: Site) -> None:
    site.add("half")
    (site.info("zoo-half") / "entry_points.txt").write_bytes(b"[zoo]\n\xff = plugin_zoo_half\n")
    assert "good/net" in site.list_names()
    assert "plugin zoo-half is broken: its installation is damaged" in site.run("list").stderr
    assert site.describe()["zoo-half"]["state"] == "broken"


def test_a_damaged_distribution_that_is_no_plugin_is_none_of_our_business(site: Site) -> None:
    site.add("other")
    (site.info("zoo-other") / "entry_points.txt").write_bytes(b"[console_scripts]\n\xff = other\n")
    result = site.run("list")
    assert result.returncode == 0
    assert "damaged" not in result.stderr


def test_a_damaged_installation_can_be_switched_off(site: Site) -> None:
    site.add("half", entry_points="[zoo]\nhalf\n")
    assert site.describe(ZOO_DISABLE_PLUGINS="zoo-half")["zoo-half"]["state"] == "disabled"


def test_of_two_copies_on_the_path_the_first_is_the_plugin(site: Site) -> None:
    older = Site(site.folder / "older")
    older.add("good", "raise ValueError\n")
    path = os.pathsep.join((str(site.folder), str(older.folder)))
    assert site.list_names(PYTHONPATH=path, ZOO_LOAD_PLUGINS="good") == ["good/net"]


# Claims.


def test_claims_are_found_without_importing_the_plugin(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    site.add("crash", "raise SystemExit\n")
    monkeypatch.syspath_prepend(str(site.folder))
    ((plugin, entry_point),) = find_claims("crash")
    assert (plugin.distribution, plugin.version, plugin.state) == ("zoo-crash", "1.5", "ok")
    assert entry_point.value == "plugin_zoo_crash"
    assert "plugin_zoo_crash" not in sys.modules


def test_every_distribution_that_claims_a_namespace_is_found(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    site.add("twins", distribution="zoo-twin-one")
    site.add("twins", distribution="zoo-twin-two")
    monkeypatch.syspath_prepend(str(site.folder))
    assert {plugin.distribution for plugin, _ in find_claims("twins")} == {"zoo-twin-one", "zoo-twin-two"}


def test_a_namespace_that_nobody_claims_is_an_error_that_lists_those_that_are(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(site.folder))
    with pytest.raises(NameNotFound, match=r"no plugin 'godo' is installed; installed are .*\bgood\b"):
        find_claims("godo")
