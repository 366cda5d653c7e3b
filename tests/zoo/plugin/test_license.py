"""``licence``, the name of the field in version 0.1, is still accepted."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from field_values import GOOD
from zoo.cli import cli
from zoo.errors import SettingsError
from zoo.plugin import BackboneSpec, DatasetSpec, WeightsSpec
from zoo.registry.registry_toml import load_registry_toml


@pytest.mark.parametrize("kind", [BackboneSpec, WeightsSpec, DatasetSpec])
def test_a_spec_accepts_and_shows_the_old_name(kind: Any) -> None:
    fields = {name: value for name, value in GOOD[kind].items() if name != "license"}
    spec = kind(**fields, licence="MIT")
    assert spec == kind(**fields, license="MIT")
    assert spec.license == spec.licence == "MIT"
    assert dataclasses.replace(spec, license="ISC").licence == "ISC"
    assert "licence" not in {field.name for field in dataclasses.fields(kind)}


@pytest.mark.parametrize("kind", [BackboneSpec, WeightsSpec, DatasetSpec])
def test_a_spec_refuses_both_names_at_once(kind: Any) -> None:
    fields = {name: value for name, value in GOOD[kind].items() if name != "license"}
    with pytest.raises(TypeError, match=f"{kind.__name__} got both license and licence"):
        kind(**fields, license="MIT", licence="CC-BY-NC-4.0")


def test_registry_toml_accepts_the_old_name(tmp_path: Path) -> None:
    path = tmp_path / "registry.toml"
    path.write_text('[datasets.birds]\nurl = "https://example.org/birds.zip"\nlicence = "MIT"\n')
    assert load_registry_toml([path]).datasets["birds"].license == "MIT"


@pytest.mark.parametrize("words", [("license", "licence"), ("licence", "license")])
def test_registry_toml_with_both_names_is_refused(tmp_path: Path, words: tuple[str, str]) -> None:
    path = tmp_path / "registry.toml"
    lines = "".join(f'{word} = "MIT"\n' for word in words)
    path.write_text(f'[datasets.birds]\nurl = "https://example.org/birds.zip"\n{lines}')
    with pytest.raises(SettingsError, match="has both license and licence"):
        load_registry_toml([path])


def test_the_flag_accepts_the_old_name() -> None:
    new, old = (CliRunner().invoke(cli, ["list", flag, "Apache-2.0", "--json"]) for flag in ("--license", "--licence"))
    assert new.exit_code == 0
    assert new.output == old.output
