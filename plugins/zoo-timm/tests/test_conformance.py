"""The specs pass the static checks for all of timm, and the meta checks for one architecture of each module.

`zoo check timm` runs more checks on every architecture. Its results are in docs/conformance.md.
"""

from __future__ import annotations

import pytest

from zoo.testing import BAD, Scope, check_backbone, conformance, examine

cataloged = pytest.mark.usefixtures("cataloged_timm")

test_conformance = cataloged(conformance("timm", level="meta", pattern="resnet18"))
test_conformance_of_each_module = pytest.mark.breadth(cataloged(conformance("timm", level="meta", each_family=True)))


def test_all_declarations_are_valid() -> None:
    timm = examine("timm")
    results = [result for spec in timm.backbones for result in check_backbone(timm, spec, Scope("static"))]
    assert len(timm.backbones) > 1000
    assert [result for result in results if result.status in BAD] == []
