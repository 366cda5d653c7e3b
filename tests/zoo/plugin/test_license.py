"""The word of the first plugins and files, ``licence``, is still understood."""

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
def test_a_spec_is_made_and_read_with_the_old_word(kind: Any) -> None:
    fields = {name: value for name, value in GOOD[kind].items() if name != "license"}
    spec = kind(**fields, licence="MIT")
    assert spec == kind(**fields, license="MIT")
    assert spec.license == spec.licence == "MIT"
    assert dataclasses.replace(spec, license="ISC").licence == "ISC"
    assert "licence" not in {field.name for field in dataclasses.fields(kind)}


@pytest.mark.parametrize("kind", [BackboneSpec, WeightsSpec, DatasetSpec])
def test_a_spec_refuses_both_words(kind: Any) -> None:
    fields = {name: value for name, value in GOOD[kind].items() if name != "license"}
    with pytest.raises(TypeError, match=f"{kind.__name__} got both license and licence"):
        kind(**fields, license="MIT", licence="CC-BY-NC-4.0")


def test_a_registry_toml_may_say_the_old_word(tmp_path: Path) -> None:
    path = tmp_path / "registry.toml"
    path.write_text('[datasets.birds]\nurl = "https://example.org/birds.zip"\nlicence = "MIT"\n')
    assert load_registry_toml([path]).datasets["birds"].license == "MIT"


@pytest.mark.parametrize("words", [("license", "licence"), ("licence", "license")])
def test_a_registry_toml_with_both_words_is_refused(tmp_path: Path, words: tuple[str, str]) -> None:
    path = tmp_path / "registry.toml"
    lines = "".join(f'{word} = "MIT"\n' for word in words)
    path.write_text(f'[datasets.birds]\nurl = "https://example.org/birds.zip"\n{lines}')
    with pytest.raises(SettingsError, match="has both license and licence"):
        load_registry_toml([path])


def test_the_flag_may_be_the_old_word() -> None:
    new, old = (CliRunner().invoke(cli, ["list", flag, "Apache-2.0", "--json"]) for flag in ("--license", "--licence"))
    assert new.exit_code == 0
    assert new.output == old.output
