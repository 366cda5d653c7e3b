"""The specs pass the static checks for the whole catalog, and the meta checks for one backbone of each family.

`zoo check transformers` runs more checks on every backbone.
"""

from __future__ import annotations

import pytest

from zoo.testing import BAD, check_backbone, conformance
from zoo.testing.plugin_under_test import examine
from zoo.testing.runner import Scope

cataloged = pytest.mark.usefixtures("cataloged_transformers")

test_conformance = cataloged(conformance("transformers", level="meta", pattern="levit-128S"))
# Perceiver is left out: it cannot run on the meta device, and takes many minutes on a processor.
test_conformance_of_each_family = pytest.mark.breadth(
    cataloged(conformance("transformers", level="meta", pattern="[!p]*", each_family=True))
)
test_conformance_of_the_other_families = pytest.mark.breadth(
    cataloged(conformance("transformers", level="meta", pattern="p[!e]*", each_family=True))
)


def test_all_declarations_are_valid() -> None:
    transformers = examine("transformers")
    results = [
        result for spec in transformers.backbones for result in check_backbone(transformers, spec, Scope("static"))
    ]
    assert len(transformers.backbones) > 200
    assert [result for result in results if result.status in BAD] == []
