from __future__ import annotations

from collections.abc import Callable

import pytest

from installed_sites import Site
from zoo.registry.plugins.discovery import list_unknown_names
from zoo.registry.plugins.load import Plugin


@pytest.mark.parametrize(
    "environment",
    [
        {"ZOO_DISABLE_PLUGINS": "crash"},
        {"ZOO_DISABLE_PLUGINS": "zoo-crash"},
        {"ZOO_DISABLE_PLUGINS": " other , crash ,"},
        {"ZOO_LOAD_PLUGINS": "good"},
        {"ZOO_LOAD_PLUGINS": "zoo-good"},
        {"ZOO_LOAD_PLUGINS": "good,crash", "ZOO_DISABLE_PLUGINS": "zoo-crash"},
    ],
    ids=str,
)
def test_a_plugin_that_is_switched_off_is_not_imported(
    site: Site,
    load: Callable[[], dict[str, Plugin]],
    environment: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    mark = site.folder / "was-imported"
    site.add("crash", f"open({str(mark)!r}, 'w').close()\nraise SystemExit\n")
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    plugins = load()
    assert not mark.exists()
    assert plugins["zoo-crash"].state == "disabled"
    assert "ZOO_DISABLE_PLUGINS" in plugins["zoo-crash"].reason
    assert plugins["zoo-good"].state == "ok"


def test_if_one_of_two_claimants_is_disabled_the_other_gets_the_namespace(
    site: Site, load: Callable[[], dict[str, Plugin]], monkeypatch: pytest.MonkeyPatch
) -> None:
    site.add("twins", distribution="twin-one")
    site.add("twins", distribution="twin-two")
    monkeypatch.setenv("ZOO_DISABLE_PLUGINS", "twin-one")
    plugins = load()
    assert plugins["twin-one"].state == "disabled"
    assert [spec.name for spec in plugins["twin-two"].backbones] == ["twins/net"]


def test_commands_respect_the_environment_variables(site: Site) -> None:
    site.add("crash", "import os\nos._exit(7)\n")
    assert site.run("list").returncode == 7
    assert site.list_names(ZOO_LOAD_PLUGINS="good") == ["good/net"]
    assert "good/net" in site.list_names(ZOO_DISABLE_PLUGINS="crash")


def test_unknown_names_in_the_environment_variables_are_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZOO_LOAD_PLUGINS", "good,godo")
    monkeypatch.setenv("ZOO_DISABLE_PLUGINS", "zoo-acme, zoo-amce")
    plugins = [Plugin("good", "zoo-good", "1.0"), Plugin("acme", "zoo-acme", "1.0")]
    assert list_unknown_names(plugins) == ["godo", "zoo-amce"]


def test_zoo_plugins_warns_about_an_unknown_name_in_an_environment_variable(site: Site) -> None:
    result = site.run("plugins", ZOO_DISABLE_PLUGINS="godo")
    assert result.returncode == 0
    assert "names godo, which is not installed" in result.stderr


def test_zoo_list_warns_about_an_unknown_name_in_an_environment_variable(site: Site) -> None:
    result = site.run("list", ZOO_LOAD_PLUGINS="godo")
    assert result.returncode == 0
    assert "names godo, which is not installed" in result.stderr


@pytest.mark.parametrize("variable", ["ZOO_DISABLE_PLUGINS", "ZOO_LOAD_PLUGINS"])
@pytest.mark.parametrize("name", ["Zoo_Acme", "zoo-acme", "ZOO.ACME"])
def test_an_environment_variable_can_name_a_distribution_in_any_spelling(
    site: Site, load: Callable[[], dict[str, Plugin]], monkeypatch: pytest.MonkeyPatch, variable: str, name: str
) -> None:
    site.add("acme", distribution="Zoo_Acme")
    monkeypatch.setenv(variable, name)
    plugins = load()
    named, other = plugins["zoo-acme"].state, plugins["zoo-good"].state
    assert (named, other) == (("disabled", "ok") if variable == "ZOO_DISABLE_PLUGINS" else ("ok", "disabled"))
    assert list_unknown_names(plugins.values()) == []
