"""The word of the first plugins and files, ``licence``, is still understood."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from field_values import GOOD
from zoo.cli import cli
from zoo.plugin import BackboneSpec, DatasetSpec, WeightsSpec
from zoo.registry.registry_toml import load_registry_toml


@pytest.mark.parametrize("kind", [BackboneSpec, WeightsSpec, DatasetSpec])
def test_a_spec_is_made_and_read_with_the_old_word(kind: Any) -> None:
    fields = {name: value for name, value in GOOD[kind].items() if name != "license"}
    spec = kind(**fields, licence="MIT")
    assert spec == kind(**fields, license="MIT")
    assert spec.license == spec.licence == "MIT"
    assert dataclasses.replace(spec, license="ISC").licence == "ISC"
    assert "licence" not in {field.name for field in dataclasses.fields(kind)}


def test_a_registry_toml_may_say_the_old_word(tmp_path: Path) -> None:
    path = tmp_path / "registry.toml"
    path.write_text('[datasets.birds]\nurl = "https://example.org/birds.zip"\nlicence = "MIT"\n')
    assert load_registry_toml([path]).datasets["birds"].license == "MIT"


def test_the_flag_may_be_the_old_word() -> None:
    new, old = (CliRunner().invoke(cli, ["list", flag, "Apache-2.0", "--json"]) for flag in ("--license", "--licence"))
    assert new.exit_code == 0
    assert new.output == old.output
