"""The spec of one architecture of each timm module equals what is read from the installed timm."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import TYPE_CHECKING

import pytest

from zoo.testing.select import choose_backbones
from zoo_timm.catalog import packaged_catalog
from zoo_timm.reading import read_backbone

if TYPE_CHECKING:
    from zoo.plugin import BackboneSpec


@pytest.mark.breadth
@pytest.mark.usefixtures("cataloged_timm")
@pytest.mark.parametrize(
    "spec",
    choose_backbones(packaged_catalog().backbones.values(), each_family=True),
    ids=lambda spec: spec.name.partition("/")[2],
)
def test_the_catalog_equals_what_is_read_from_timm(spec: BackboneSpec) -> None:
    read = read_backbone(spec.name.partition("/")[2])
    # The accuracies come from timm's repository, not from the installed package.
    listed = replace(spec, weights=tuple(replace(weights, accuracy=None) for weights in spec.weights))
    differing = [field.name for field in fields(spec) if getattr(listed, field.name) != getattr(read, field.name)]
    assert set(differing) <= {"build", "convert", "preprocessing", "upstream"}
