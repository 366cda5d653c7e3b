"""Facts in families.py that the conformance kit does not check."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn

from zoo_torchvision.catalog import get_facts, load_catalog
from zoo_torchvision.families import FAMILIES

if TYPE_CHECKING:
    from collections.abc import Callable

    from zoo.plugin import BackboneSpec

    Build = Callable[..., nn.Module]


def test_all_layers_of_the_classifier_can_be_replaced(name: str, spec: BackboneSpec, build_on_meta: Build) -> None:
    """The head is the last layer of the classifier, which contains no norm, convolution or reshaping."""
    if spec.classifier is None:
        return
    region = build_on_meta(name).get_submodule(spec.classifier)
    path, _, last = spec.head[0].rpartition(".")
    assert (path, last) == (spec.classifier, str(len(region) - 1))
    assert {type(layer) for layer in region} <= {nn.Linear, nn.Dropout, nn.ReLU, nn.Hardswish}


def test_vgg_has_the_classic_blocks(specs: dict[str, BackboneSpec], build_on_meta: Build) -> None:
    spec = specs["vgg16"]
    assert [block.name for block in spec.blocks] == ["stage1", "stage2", "stage3", "stage4", "stage5", "classifier"]
    assert spec.blocks[4].prefixes == ("features.24", "features.26", "features.28")
    assert spec.classifier == "classifier"
    assert build_on_meta("vgg16").get_submodule("classifier.0").in_features == 25088


def test_auxiliary_heads_are_in_the_blocks_they_branch_off_from(specs: dict[str, BackboneSpec]) -> None:
    blocks = {block.name: block.prefixes for block in specs["googlenet"].blocks + specs["inception_v3"].blocks}
    assert blocks["inception4a"] == ("inception4a", "aux1.conv", "aux1.fc1")
    assert blocks["inception4d"] == ("inception4d", "aux2.conv", "aux2.fc1")
    assert blocks["Mixed_6e"] == ("Mixed_6e", "AuxLogits.conv0", "AuxLogits.conv1")
    assert (specs["googlenet"].aux_weight, specs["inception_v3"].aux_weight) == (0.3, 0.4)


def test_every_family_is_used() -> None:
    assert {get_facts(name)["module"] for name in load_catalog()["backbones"]} == set(FAMILIES)
