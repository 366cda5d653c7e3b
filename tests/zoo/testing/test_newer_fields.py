"""The kit knows what version 2 of the contract added, and reports plugins that use it without saying so."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from zoo.plugin import BackboneSpec, WeightsSpec
from zoo.registry.registry import open_registry
from zoo.testing.newer_fields import OF_BACKBONES, OF_WEIGHTS, REASONS, WIDENED, list_newer
from zoo.testing.plugin_under_test import examine
from zoo.testing.results.result import Result
from zoo.testing.runner import Scope, check_plugin

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "plugins.md"
Shelf = Any  # the class in conftest.py, which cannot be imported


def judge(namespace: str) -> Result:
    return next(one for one in check_plugin(examine(namespace), Scope("static")) if one.check == "plugin.version")


def test_the_newer_fields_are_those_in_the_reference() -> None:
    table = PAGE.read_text().partition("Version 2 adds:")[2].partition("\n## ")[0]
    documented = {name for row in table.split("\n") for name in re.findall(r"`(\w+)`", row)}
    known = {*OF_BACKBONES, *OF_WEIGHTS, *WIDENED}
    assert known <= documented
    assert documented - known == {"WeightsSpec", "unsupported", *REASONS, "sha256", "model", "input"}


def test_every_newer_field_exists() -> None:
    assert {*OF_BACKBONES, *WIDENED} <= {field.name for field in fields(BackboneSpec)}
    assert {*OF_WEIGHTS} <= {field.name for field in fields(WeightsSpec)}


def test_a_backbone_of_version_1_uses_nothing_newer(shelf: Shelf) -> None:
    shelf.add("acme")
    assert judge("acme").status == "pass"
    (spec,) = examine("acme").backbones
    assert list_newer(spec) == []


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ("fixed=('stem',)", "fixed"),
        ("output_field='logits'", "output_field"),
        ("weights=(published(sha1='0' * 40),)", "sha1"),
        ("weights=(published(url='https://a.org/a.zip', member='a.pth', md5='0' * 32),)", "md5, member"),
        ("convert=lambda tag, tensors, model: tensors", "a convert that takes the model"),
        ("upstream='click>=8'", "a range of versions in upstream"),
        ("constructor='import acme\\nmodel = acme.Net()'", "lines of code as constructor"),
        ("unsupported={'meta': 'it reads values'}", "'meta' in unsupported"),
        ("unsupported={'channels': 'it standardizes them'}", "'channels' in unsupported"),
    ],
)
def test_what_version_2_added_needs_version_2(shelf: Shelf, changes: str, named: str) -> None:
    shelf.add("acme", "spec()", f"spec('acme/new', {changes})")
    result = judge("acme")
    message = f"ZOO_API is 1, but acme/new uses {named}, which version 2 added; declare ZOO_API = 2 ("
    assert (result.status, result.reason[: len(message)]) == ("fail", message)
    shelf.add("later", f"spec('later/new', {changes})", end="ZOO_API = 2")
    assert judge("later").status == "pass"


def test_a_name_with_a_second_slash_needs_version_2(shelf: Shelf) -> None:
    shelf.add("acme", "spec('acme/owner/net')")
    assert "acme/owner/net uses a name with a second slash" in judge("acme").reason


def test_a_convert_that_takes_too_few_arguments_is_not_newer(shelf: Shelf) -> None:
    shelf.add("acme", "spec('acme/odd', convert=lambda tensors: tensors)")
    assert judge("acme").status == "pass"


def test_our_own_plugins_declare_the_version_that_they_use() -> None:
    for plugin in open_registry().plugins:
        assert judge(plugin.namespace).status == "pass", plugin.namespace
