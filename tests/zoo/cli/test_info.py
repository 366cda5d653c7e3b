from __future__ import annotations

import dataclasses
import importlib.metadata
import json
from collections.abc import Callable
from typing import Any

import pytest
from click.testing import CliRunner, Result

from zoo.cli import cli
from zoo.plugin import BackboneSpec, InputSpec, WeightsSpec
from zoo.registry.plugins.load import Plugin
from zoo.registry.registry import Registry
from zoo.registry.registry_toml import RegistryToml

Run = Callable[..., Result]


@pytest.fixture
def run(acme: BackboneSpec, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run ``zoo info`` with acme/net (no weights), acme/full (all fields) and acme/late (known after building)."""
    weights = (
        WeightsSpec(tag="V1", url="https://example.org/a", license="MIT", size=553_433_881, accuracy=71.592),
        WeightsSpec(tag="FEATURES", url=None, license="unknown", num_classes=None, input=InputSpec(size=(3, 288, 320))),
    )
    full = dataclasses.replace(acme, name="acme/full", weights=weights, aux_heads=("aux",), upstream="absent==1.0")
    late = dataclasses.replace(acme, name="acme/late", head=print, blocks=print, classifier=None)
    registry = Registry([Plugin("acme", "zoo-acme", "1.0", backbones=(acme, full, late))], RegistryToml())
    monkeypatch.setattr("zoo.cli.info.open_registry", lambda: registry)
    return lambda *arguments: CliRunner().invoke(cli, ["info", *arguments])


def read(result: Result) -> dict[str, Any]:
    assert result.exit_code == 0, result.output
    facts: dict[str, Any] = json.loads(result.stdout)
    return facts


def test_text_has_one_field_per_line(run: Run) -> None:
    assert run("acme/net").stdout == (
        "name          acme/net\n"
        "family        acme\n"
        "parameters    2,374\n"
        "code license  MIT\n"
        "head          classifier.3\n"
        "classifier    classifier\n"
        "blocks        stem, layer1, layer2, hidden\n"
        "input         16 x 16, resized to 16 (bilinear, center crop)\n"
        "source        the plugin\n"
        "\n"
        "no published weights\n"
    )


def test_text_has_a_table_of_the_weights(run: Run) -> None:
    lines = run("acme/full").stdout.splitlines()
    assert [line.split() for line in lines[-3:]] == [
        ["WEIGHTS", "CLASSES", "TOP-1", "SIZE", "LICENSE", "INPUT"],
        [
            "V1",
            "1000",
            "71.6",
            "553.4MB",
            "MIT",
            "16",
            "x",
            "16,",
            "resized",
            "to",
            "16",
            "(bilinear,",
            "center",
            "crop)",
        ],
        [
            "FEATURES",
            "no",
            "head",
            "unknown",
            "320",
            "x",
            "288,",
            "resized",
            "to",
            "256",
            "(bilinear,",
            "center",
            "crop)",
        ],
    ]
    assert "auxiliary     aux" in lines


def test_a_short_name_is_shown_with_the_full_name(run: Run) -> None:
    assert run("net").stdout.splitlines()[0] == "net -> acme/net"
    assert "->" not in run("acme/net").stdout


def test_the_requested_weights_are_shown(run: Run) -> None:
    assert run("full@FEATURES").stdout.splitlines()[0] == "full@FEATURES -> acme/full@FEATURES"
    assert "->" not in run("acme/full@FEATURES").stdout


def test_json_has_the_declared_values(run: Run) -> None:
    facts = read(run("acme/full", "--json"))
    assert (facts["name"], facts["family"], facts["params"], facts["license"]) == ("acme/full", "acme", 2374, "MIT")
    assert (facts["head"], facts["aux_heads"], facts["classifier"]) == (["classifier.3"], ["aux"], "classifier")
    assert facts["blocks"][0] == {"name": "stem", "prefixes": ["stem"]}
    assert facts["input"]["size"] == [3, 16, 16]
    assert [weights["tag"] for weights in facts["weights"]] == ["V1", "FEATURES"]
    assert facts["weights"][1]["num_classes"] is None
    assert facts["weights"][1]["input"]["size"] == [3, 288, 320]
    assert facts["upstream"] == "absent==1.0"


def test_json_has_all_fields_of_the_spec_except_callables(run: Run) -> None:
    fields = {field.name for field in dataclasses.fields(BackboneSpec)} - {
        "build",
        "convert",
        "preprocessing",
        "run_files",
    }
    assert fields == read(run("acme/full", "--json")).keys()


def test_parameters_that_are_never_trained_and_unusual_channels_are_shown(
    acme: BackboneSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    gray = InputSpec(size=(1, 16, 16), resize=16, mean=(0.5,), std=(0.5,))
    spec = dataclasses.replace(acme, fixed=print, unused=("mask", "token"), first_conv="stem.0", input=gray)
    registry = Registry([Plugin("acme", "zoo-acme", "1.0", backbones=(spec,))], RegistryToml())
    monkeypatch.setattr("zoo.cli.info.open_registry", lambda: registry)
    text = CliRunner().invoke(cli, ["info", "acme/net"]).stdout.splitlines()
    assert "fixed         known after building" in text
    assert "unused        mask, token" in text
    assert "input         16 x 16, 1 channel, resized to 16 (bilinear, center crop)" in text
    facts = read(CliRunner().invoke(cli, ["info", "acme/net", "--json"]))
    assert (facts["fixed"], facts["unused"], facts["first_conv"]) == (None, ["mask", "token"], ["stem.0"])


def test_parts_known_only_after_building_are_marked(run: Run) -> None:
    text = run("acme/late").stdout
    assert "head          known after building" in text
    assert "blocks        known after building" in text
    assert "classifier    same as head" in text
    facts = read(run("acme/late", "--json"))
    assert (facts["head"], facts["blocks"], facts["classifier"]) == (None, None, None)


def test_notes_go_to_stderr(run: Run) -> None:
    for arguments in (["acme/full"], ["acme/full", "--json"]):
        result = run(*arguments)
        assert result.exit_code == 0
        assert result.stderr == "note: acme/full needs absent, which is not installed; pip install absent.\n"
        assert "note:" not in result.stdout


def test_an_unknown_name_is_one_line_on_stderr_with_exit_code_1(run: Run) -> None:
    result = run("acme/nett", "--json")
    assert result.exit_code == 1
    assert result.stdout == ""
    assert result.stderr == "Error: no backbone 'acme/nett'; did you mean acme/net?\n"


def test_a_missing_name_is_wrong_usage(run: Run) -> None:
    result = run()
    assert result.exit_code == 2
    assert "BACKBONE" in result.stderr


@pytest.fixture
def torchvision() -> None:
    if "torchvision" not in importlib.metadata.entry_points(group="zoo").names:
        pytest.skip("zoo-torchvision is not installed")


@pytest.mark.usefixtures("torchvision")
def test_the_text_for_vgg16_has_its_declared_values() -> None:
    result = CliRunner().invoke(cli, ["info", "torchvision/vgg16"])
    assert result.exit_code == 0, result.output
    for line in ("name          torchvision/vgg16", "parameters    138,357,544", "head          classifier.6"):
        assert line in result.stdout.splitlines()
    assert "IMAGENET1K_V1" in result.stdout


@pytest.mark.usefixtures("torchvision")
def test_the_json_for_vgg16_has_its_declared_values() -> None:
    facts = read(CliRunner().invoke(cli, ["info", "vgg16", "--json"]))
    assert facts["name"] == "torchvision/vgg16"
    assert facts["params"] == 138_357_544
    assert facts["head"] == ["classifier.6"]
    assert facts["classifier"] == "classifier"
    assert facts["blocks"][0]["prefixes"] == ["features.0", "features.2"]
    weights = facts["weights"][0]
    assert (weights["tag"], weights["num_classes"], weights["sha256"]) == ("IMAGENET1K_V1", 1000, "397923af")


def test_a_weak_digest_is_noted_on_stderr(acme: BackboneSpec, monkeypatch: pytest.MonkeyPatch) -> None:
    weights = WeightsSpec(tag="V1", url="https://example.org/a.zip", member="a.pth", license="MIT", sha1="0" * 40)
    spec = dataclasses.replace(acme, weights=(weights, dataclasses.replace(weights, tag="V2", sha1=None, md5="0" * 32)))
    registry = Registry([Plugin("acme", "zoo-acme", "1.0", backbones=(spec,))], RegistryToml())
    monkeypatch.setattr("zoo.cli.info.open_registry", lambda: registry)
    result = CliRunner().invoke(cli, ["info", "net"])
    assert result.exit_code == 0
    first, second = result.stderr.splitlines()
    assert first.startswith("note: weights V1 are pinned only by SHA-1, which is weak: ")
    assert second.startswith("note: weights V2 are pinned only by MD5, which is weak: ")
