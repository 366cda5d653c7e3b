"""Building and converting work offline, print nothing, and report what the installed timm lacks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import timm
import torch

from zoo.errors import NameNotFound, WeightsError
from zoo_timm.building import Upstream

if TYPE_CHECKING:
    from zoo_timm.catalog import Catalog


def foreign_vit(classes: int = 1000) -> dict[str, torch.Tensor]:
    """Return tensors of a small ViT in the layout of OpenCLIP, which timm can convert."""
    model = timm.create_model("test_vit", num_classes=classes)
    tensors = {f"visual.trunk.{key}": value for key, value in model.state_dict().items()}
    del tensors["visual.trunk.head.bias"]
    tensors["visual.head.proj.weight"] = tensors.pop("visual.trunk.head.weight")
    return tensors


def test_building_prints_nothing(catalog: Catalog, capfd: pytest.CaptureFixture[str]) -> None:
    for name in ("test_vit", "test_resnet"):
        catalog.backbones[name].build(None)
    assert capfd.readouterr() == ("", "")


def test_the_tag_selects_the_cfg_of_the_model(catalog: Catalog) -> None:
    with torch.device("meta"):
        model = catalog.backbones["vgg16"].build("tv_in1k")
    assert model.pretrained_cfg["tag"] == "tv_in1k"


def test_the_constructor_builds_the_same_network(catalog: Catalog) -> None:
    spec = catalog.backbones["vit_tiny_patch16_384"]
    assert spec.constructor is not None
    expression = spec.constructor.format(num_classes=7, image_size=384)
    with torch.device("meta"):
        theirs = eval(expression, {"timm": timm})  # evaluates the expression under test
        ours = spec.build(spec.weights[0].tag)
    ours_shapes = {name: p.shape for name, p in ours.named_parameters() if not name.startswith("head.")}
    assert ours_shapes == {name: p.shape for name, p in theirs.named_parameters() if not name.startswith("head.")}
    assert theirs.head.out_features == 7


def test_a_missing_architecture_is_an_error_with_the_version_of_timm() -> None:
    with pytest.raises(NameNotFound, match=rf"timm/no_such_net .* timm {timm.__version__}; install"):
        Upstream("no_such_net").build(None)


def test_a_missing_tag_is_an_error_with_the_version_of_timm() -> None:
    with pytest.raises(NameNotFound, match=rf"no weights 'no_such_tag' .* timm {timm.__version__}; install"):
        Upstream("test_vit").build("no_such_tag")


def test_convert_reads_different_layouts_and_keeps_the_head() -> None:
    tensors = foreign_vit()
    converted = Upstream("test_vit").convert("r160_in1k", tensors)
    assert converted.keys() == Upstream("test_vit").build(None).state_dict().keys()
    assert torch.equal(converted["head.weight"], tensors["visual.head.proj.weight"])
    assert torch.equal(converted["blocks.0.attn.qkv.weight"], tensors["visual.trunk.blocks.0.attn.qkv.weight"])


def test_convert_does_not_change_its_input() -> None:
    tensors = foreign_vit()
    before = {key: value.clone() for key, value in tensors.items()}
    Upstream("test_vit").convert("r160_in1k", tensors)
    assert tensors.keys() == before.keys()
    assert all(torch.equal(tensors[key], before[key]) for key in before)


def test_convert_refuses_tensors_of_a_different_network() -> None:
    with pytest.raises(WeightsError, match="do not match timm/test_vit@r160_in1k"):
        Upstream("test_vit").convert("r160_in1k", {"features.0.weight": torch.zeros(1)})
