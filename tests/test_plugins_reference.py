"""docs/reference/plugins.md shows which fields of a spec are required, and the defaults of the others."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import pytest

from zoo import plugin

PAGE = (Path(__file__).parents[1] / "docs" / "reference" / "plugins.md").read_text(encoding="utf-8")
SPECS = (
    plugin.BackboneSpec,
    plugin.BlockSpec,
    plugin.InputSpec,
    plugin.WeightsSpec,
    plugin.DatasetSpec,
    plugin.SourceSpec,
)


def show_default(field: dataclasses.Field[object]) -> str:
    if field.default_factory is not dataclasses.MISSING:
        return f"`{field.default_factory()!r}`"
    if field.default is dataclasses.MISSING:
        return "-"
    if isinstance(field.default, plugin.InputSpec):
        assert field.default == plugin.InputSpec()
        return "`InputSpec()`"
    return f"`{field.default!r}`".replace("'", '"')


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.__name__)
def test_the_reference_has_every_default_of_a_spec(spec: type) -> None:
    section = PAGE.partition(f"\n## {spec.__name__}\n")[2].partition("\n## ")[0]
    documented = re.findall(r"^\| `(\w+)` \| (.*?) \|", section, flags=re.MULTILINE)
    assert documented == [(field.name, show_default(field)) for field in dataclasses.fields(spec)]
