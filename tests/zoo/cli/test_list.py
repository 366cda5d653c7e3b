from __future__ import annotations

import dataclasses
import importlib.metadata
import json
from collections.abc import Callable
from typing import Any

import pytest
from click.testing import CliRunner, Result

from zoo.cli import cli
from zoo.plugin import BackboneSpec, WeightsSpec
from zoo.registry.plugins.load import Plugin
from zoo.registry.registry import Registry
from zoo.registry.registry_toml import RegistryToml

Run = Callable[..., Result]


@pytest.fixture
def run(acme: BackboneSpec, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run ``zoo list`` with four backbones of two plugins, a broken plugin and a disabled one."""
    weights = (
        WeightsSpec(tag="V2", url=None, license="CC-BY-NC-4.0", accuracy=80.5),
        WeightsSpec(tag="V1", url=None, license="MIT"),
    )
    big = dataclasses.replace(acme, name="acme/big", family="acme", params=4_100_000, weights=weights)
    vit = dataclasses.replace(acme, name="bolt/vit_b", family="vit", params=86_000_000, license="Apache-2.0")
    huge = dataclasses.replace(vit, name="bolt/vit_h", params=632_000_000)
    registry = Registry(
        [
            Plugin("acme", "zoo-acme", "1.0", backbones=(acme, big)),
            Plugin("bolt", "zoo-bolt", "2.0", backbones=(huge, vit)),
            Plugin("crash", "zoo-crash", "0.1", state="broken", reason="ValueError: why"),
            Plugin("off", "zoo-off", "0.1", state="disabled", reason="switched off"),
        ],
        RegistryToml(),
    )
    monkeypatch.setattr("zoo.cli.list.open_registry", lambda: registry)
    return lambda *arguments: CliRunner().invoke(cli, ["list", *arguments])


def read(result: Result) -> list[dict[str, Any]]:
    assert result.exit_code == 0, result.output
    rows: list[dict[str, Any]] = json.loads(result.stdout)
    return rows


def names(result: Result) -> list[str]:
    return [row["name"].partition("/")[2] for row in read(result)]


def test_json_is_an_array_with_the_documented_keys(run: Run) -> None:
    rows = read(run("--json"))
    assert [row["name"] for row in rows] == ["acme/big", "acme/net", "bolt/vit_b", "bolt/vit_h"]
    assert rows[0] == {
        "name": "acme/big",
        "family": "acme",
        "params": 4_100_000,
        "license": "CC-BY-NC-4.0",
        "accuracy": 80.5,
        "weights": ["V2", "V1"],
    }


def test_without_weights_the_license_is_that_of_the_code(run: Run) -> None:
    (row,) = read(run("acme/net", "--json"))
    assert (row["license"], row["accuracy"], row["weights"]) == ("MIT", None, [])


def test_text_is_a_table_with_a_count(run: Run) -> None:
    assert run("--plugin", "acme").stdout == (
        "NAME      FAMILY  PARAMS  TOP-1  LICENSE       WEIGHTS\n"
        "acme/big  acme      4.1M   80.5  CC-BY-NC-4.0  V2 +1\n"
        "acme/net  acme      2.4k      -  MIT           none\n"
        "2 backbones\n"
    )


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["vit"], ["vit_b", "vit_h"]),
        (["bolt/*_h"], ["vit_h"]),
        (["--plugin", "bolt"], ["vit_b", "vit_h"]),
        (["--plugin", "BOLT"], ["vit_b", "vit_h"]),
        (["--family", "vit"], ["vit_b", "vit_h"]),
        (["--family", "ViT"], ["vit_b", "vit_h"]),
        (["--family", "vit", "--plugin", "acme"], []),
        (["ViT"], ["vit_b", "vit_h"]),
        (["BOLT/*_H"], ["vit_h"]),
        (["--max-params", "86M"], ["big", "net", "vit_b"]),
        (["--max-params", "85.9m"], ["big", "net"]),
        (["--max-params", "3k"], ["net"]),
        (["--max-params", "4.1M"], ["big", "net"]),
        (["--max-params", "2373"], []),
        (["--max-params", "2374"], ["net"]),
        (["--max-params", "1G"], ["big", "net", "vit_b", "vit_h"]),
        (["--max-params", "999999999999999G"], ["big", "net", "vit_b", "vit_h"]),
        (["--max-params", "0.1B"], ["big", "net", "vit_b"]),
        (["--license", "cc-by-nc-4.0"], ["big"]),
        (["--license", "MIT"], ["net"]),
        (["--license", "Apache-2.0", "--max-params", "100M", "vit"], ["vit_b"]),
        (["nothing"], []),
    ],
    ids=" ".join,
)
def test_all_filters_and_the_pattern_are_applied(run: Run, arguments: list[str], expected: list[str]) -> None:
    assert names(run("--json", *arguments)) == expected


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        ("name", ["big", "net", "vit_b", "vit_h"]),
        ("params", ["net", "big", "vit_b", "vit_h"]),
        ("accuracy", ["big", "net", "vit_b", "vit_h"]),
    ],
)
def test_the_list_is_sorted(run: Run, order: str, expected: list[str]) -> None:
    assert names(run("--json", "--sort", order)) == expected


def test_the_most_accurate_comes_first_and_unknown_accuracies_last(run: Run) -> None:
    rows = read(run("bolt", "--json", "--sort", "accuracy")) + read(run("--json", "--sort", "accuracy"))
    assert [row["accuracy"] for row in rows] == [None, None, 80.5, None, None, None]


@pytest.mark.parametrize("value", ["30 M", "M", "-1", "1e6", "30MB", "1,5M", "9" * 16, "0." + "9" * 16, "9" * 400])
def test_an_invalid_size_is_wrong_usage(run: Run, value: str) -> None:
    result = run("--max-params", value)
    assert result.exit_code == 2
    assert f"{value!r} is not a number; write it as 30M or 500k." in result.stderr
    assert result.stdout == ""


def test_broken_plugins_are_reported_and_disabled_ones_are_not(run: Run) -> None:
    for result in (run(), run("--json")):
        assert result.exit_code == 0
        assert result.stderr == "warning: plugin crash is broken: ValueError: why\n"
        assert "crash" not in result.stdout


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--plugin", "bol"], "no plugin 'bol'; available: acme, bolt."),
        (["--plugin", "bolt/"], "no plugin 'bolt/'; available: acme, bolt."),
        (["--family", "vi"], "no family 'vi'; available: acme, vit."),
        (["--family", "vi*"], "no family 'vi*'; available: acme, vit."),
        (["--license", "NC"], "no license 'NC'; available: Apache-2.0, CC-BY-NC-4.0, MIT."),
        (["vit", "--plugin", "acme", "--family", "resnet"], "no family 'resnet'; available: acme, vit."),
    ],
    ids=str,
)
@pytest.mark.parametrize("form", [[], ["--json"]], ids=["text", "json"])
def test_an_unknown_filter_value_is_an_error_that_lists_known_values(
    run: Run, arguments: list[str], says: str, form: list[str]
) -> None:
    result = run(*arguments, *form)
    assert result.exit_code == 1
    assert result.stdout == ""
    assert f"Error: {says}\n" in result.stderr


def test_a_filter_without_any_plugin_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("zoo.cli.list.open_registry", lambda: Registry([], RegistryToml()))
    result = CliRunner().invoke(cli, ["list", "--plugin", "acme"])
    assert (result.exit_code, result.stderr) == (1, "Error: no plugin 'acme'; available: none.\n")
    assert CliRunner().invoke(cli, ["list"]).stdout.endswith("\n0 backbones\n")


def test_filtering_by_a_broken_plugin_reports_why_it_is_broken(run: Run) -> None:
    result = run("--plugin", "crash")
    assert result.exit_code == 1
    assert result.stderr == (
        "warning: plugin crash is broken: ValueError: why\nError: no plugin 'crash'; available: acme, bolt.\n"
    )


def test_a_plugin_without_backbones_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    registry = Registry([Plugin("tracker", "zoo-tracker", "1.0")], RegistryToml())
    monkeypatch.setattr("zoo.cli.list.open_registry", lambda: registry)
    assert names(CliRunner().invoke(cli, ["list", "--json", "--plugin", "tracker"])) == []


@pytest.mark.parametrize("variable", ["ZOO_LOAD_PLUGINS", "ZOO_DISABLE_PLUGINS"])
def test_an_unknown_plugin_in_the_environment_is_reported(
    run: Run, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.setenv(variable, "acmee,bolt")
    result = run("--json")
    assert len(names(result)) == 4
    assert "warning: ZOO_LOAD_PLUGINS or ZOO_DISABLE_PLUGINS names acmee, which is not installed\n" in result.stderr


def test_the_count_of_one_backbone_is_singular(run: Run) -> None:
    assert run("acme/net").stdout.endswith("\n1 backbone\n")


def test_installed_backbones_have_the_documented_keys() -> None:
    if not importlib.metadata.entry_points(group="zoo"):
        pytest.skip("no plugin is installed")
    rows = read(CliRunner().invoke(cli, ["list", "--json"]))
    assert [row["name"] for row in rows] == sorted({row["name"] for row in rows})
    for row in rows:
        assert {"name", "family", "params", "license"} <= row.keys()
        assert type(row["params"]) is int
        assert "/" in row["name"]
