from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from click.testing import CliRunner, Result

from zoo.cli import cli
from zoo.plugin import BackboneSpec, DatasetSpec, SourceSpec
from zoo.registry.plugins.load import Plugin
from zoo.registry.registry import Registry
from zoo.registry.registry_toml import RegistryToml

Run = Callable[..., Result]
PETS = DatasetSpec(name="acme/pets", description="Pets", license="MIT", url="https://example.org/p.zip")
ALBUM = SourceSpec(prefix="acme-album", description="an album", fetch=lambda _name, folder: folder)


@pytest.fixture
def plugins(acme: BackboneSpec) -> list[Plugin]:
    good = Plugin("acme", "zoo-acme", "1.0", backbones=(acme,), datasets=(PETS,), sources=(ALBUM,), output="hello\n")
    bad = Plugin("crash", "zoo-crash", "0.12")
    bad.fail("broken", "ValueError: why", "Traceback of crash")
    return [good, bad]


@pytest.fixture
def run(plugins: list[Plugin], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run ``zoo plugins`` with a good plugin that printed something and a broken one."""
    registry = Registry(plugins, RegistryToml())
    monkeypatch.setattr("zoo.cli.plugins.open_registry", lambda: registry)
    return lambda *arguments: CliRunner().invoke(cli, arguments)


def test_text_is_a_table_followed_by_the_reasons(run: Run) -> None:
    result = run("plugins")
    assert result.exit_code == 0
    assert result.stderr == ""
    assert result.stdout == (
        "NAMESPACE  DISTRIBUTION  VERSION  STATE   BACKBONES  DATA SETS  SOURCES\n"
        "acme       zoo-acme      1.0      ok              1          1        1\n"
        "crash      zoo-crash     0.12     broken          0          0        0\n"
        "crash: ValueError: why\n"
        "acme printed while it was loading: 'hello\\n'\n"
    )


def test_json_has_the_state_and_the_reason_of_each_plugin(run: Run) -> None:
    rows = json.loads(run("plugins", "--json").stdout)
    assert [(row["namespace"], row["state"], row["reason"]) for row in rows] == [
        ("acme", "ok", ""),
        ("crash", "broken", "ValueError: why"),
    ]
    assert (rows[0]["backbones"], rows[0]["datasets"], rows[0]["output"]) == (1, ["acme/pets"], "hello\n")
    assert [row["sources"] for row in rows] == [["acme-album"], []]


def test_debug_shows_the_traceback_of_the_plugin_on_stderr(run: Run) -> None:
    for arguments in (("--debug", "plugins", "--json"), ("plugins", "--json", "--debug")):
        result = run(*arguments)
        assert "Traceback of crash" in result.stderr
        assert json.loads(result.stdout)
    assert "Traceback" not in run("plugins").output


def test_an_unknown_plugin_in_the_environment_is_reported(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZOO_DISABLE_PLUGINS", "acmee,crash")
    result = run("plugins", "--json")
    assert result.stderr == "warning: ZOO_LOAD_PLUGINS or ZOO_DISABLE_PLUGINS names acmee, which is not installed\n"


def test_no_plugins_are_an_empty_array_or_a_hint(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("zoo.cli.plugins.open_registry", lambda: Registry([], RegistryToml()))
    assert (
        CliRunner().invoke(cli, ["plugins"]).stdout == "no plugins are installed; the README shows how to install one\n"
    )
    assert json.loads(CliRunner().invoke(cli, ["plugins", "--json"]).stdout) == []
