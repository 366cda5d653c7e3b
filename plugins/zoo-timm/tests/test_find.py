"""Unlisted names: timm's own names, and backbones of a different version of timm."""

from __future__ import annotations

from dataclasses import replace

import pytest

from zoo_timm.add_accuracies import with_accuracies
from zoo_timm.catalog import Catalog
from zoo_timm.find import find_backbone


@pytest.fixture
def older(catalog: Catalog) -> Catalog:
    """Return a catalog of a different timm without ``test_vit``, and without weights for ``test_vit2``."""
    backbones = dict(catalog.backbones)
    del backbones["test_vit"]
    backbones["test_vit2"] = replace(backbones["test_vit2"], weights=())
    return Catalog("timm==0.0.1", catalog.accuracies, backbones)


def test_timms_own_name_is_found_with_its_weights_first(catalog: Catalog) -> None:
    spec = catalog.backbones["vgg16"]
    found = find_backbone("vgg16.tv_in1k", catalog)
    assert found.name == "timm/vgg16"
    assert found.weights[0].tag == "tv_in1k"
    last = catalog.backbones["convnext_tiny"].weights[-1].tag
    found = find_backbone(f"convnext_tiny.{last}", catalog)
    assert found.weights[0].tag == last
    assert set(found.weights) == set(catalog.backbones["convnext_tiny"].weights)
    assert find_backbone("vgg16", catalog) is spec


@pytest.mark.parametrize("name", ["vgg16.no_such_tag", "no_such_net", "no_such_net.tag", ""])
def test_other_names_are_not_found_with_the_cataloged_timm(catalog: Catalog, name: str) -> None:
    assert find_backbone(name, catalog) is None


def test_a_backbone_of_a_different_timm_is_found(catalog: Catalog, older: Catalog) -> None:
    found = find_backbone("test_vit.r160_in1k", older)
    # The accuracies are in the catalog only, because timm does not state them.
    (wanted,) = with_accuracies([catalog.backbones["test_vit"]], {})
    # Functions of two equal objects are not equal.
    functions = {"build": wanted.build, "convert": wanted.convert, "preprocessing": wanted.preprocessing}
    assert replace(found, **functions, upstream=wanted.upstream) == wanted
    assert found.build(None) is not None


def test_a_tag_of_a_different_timm_is_found(older: Catalog) -> None:
    assert find_backbone("test_vit2.r160_in1k", older).weights[0].tag == "r160_in1k"


def test_a_name_unknown_to_a_different_timm_is_not_found(older: Catalog) -> None:
    assert find_backbone("no_such_net", older) is None
    assert find_backbone("test_vit.no_such_tag", older) is None
