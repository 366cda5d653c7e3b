from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from zoo.registry.registry import Registry

Main = Callable[..., int]
Capture = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def only_acme(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    """Install only the plugin acme."""
    monkeypatch.setattr("zoo.registry.registry.open_registry", lambda: registry)


def test_a_table_has_one_line_per_module(run: Main, capsys: Capture) -> None:
    assert run("inspect", "net", "--train", "from:hidden", "--depth", "1") == 0
    assert capsys.readouterr().out == (
        "acme/net: 334 of 2,374 parameters are trainable (input 1x3x16x16, train from:hidden)\n"
        "MODULE        TYPE               OUTPUT    PARAMETERS  STATE      BLOCK   NOTES\n"
        "(network)     Sequential         1x10           2,374  partly\n"
        "  stem        Sequential         1x8x8x8          240  frozen     stem\n"
        "  layer1      Sequential         1x8x4x4          600  frozen     layer1\n"
        "  layer2      Sequential         1x16x2x2       1,200  frozen     layer2\n"
        "  pool        AdaptiveAvgPool2d  1x16x1x1\n"
        "  flatten     Flatten            1x16\n"
        "  classifier  Sequential         1x10             334  trainable\n"
    )


def test_json_has_the_tree(run: Main, capsys: Capture) -> None:
    assert run("inspect", "net", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    stem = found["root"]["children"][0]
    assert (stem["path"], stem["block"], stem["outputs"], stem["trainable"]) == ("stem", "stem", [[1, 8, 8, 8]], 0)
    assert [child["type"] for child in stem["children"]] == ["Conv2d", "BatchNorm2d", "ReLU", "Dropout"]


def test_a_run_is_inspected(run: Main, folder: Path, capsys: Capture) -> None:
    assert run("inspect", folder) == 0
    assert capsys.readouterr().out.startswith(f"{folder}: 26 of 2,270 parameters are trainable")


def test_an_unknown_name_and_a_wrong_depth_are_errors_of_one_line(run: Main, capsys: Capture) -> None:
    assert run("inspect", "nett") == 1
    assert run("inspect", "net", "--depth", "0") == 1
    assert capsys.readouterr().err == (
        "Error: no backbone 'nett'; did you mean acme/net?\nError: --depth must be at least 1, got 0.\n"
    )
