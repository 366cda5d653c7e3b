"""Architectures with unusual heads and blocks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import timm
import torch
from torch import nn

from zoo_timm.prefixes import covers
from zoo_timm.reading import find_lacking

if TYPE_CHECKING:
    from zoo.plugin import BackboneSpec
    from zoo_timm.catalog import Catalog


def on_meta(spec: BackboneSpec) -> nn.Module:
    with torch.device("meta"):
        return spec.build(None)


def block_of(spec: BackboneSpec, name: str) -> str:
    return next(b.name for b in spec.blocks if any(covers(prefix, name) for prefix in b.prefixes))


def test_a_distilled_model_has_two_heads(catalog: Catalog) -> None:
    assert catalog.backbones["deit_tiny_distilled_patch16_224"].head == ("head", "head_dist")


def test_a_head_missing_in_timms_cfg_is_found(catalog: Catalog) -> None:
    spec = catalog.backbones["levit_384_s8"]
    model = on_meta(spec)
    assert model.pretrained_cfg["classifier"] == "head.linear"
    assert spec.head == ("head.linear", "head_dist.linear")


def test_a_hidden_layer_with_1000_outputs_is_not_a_head(catalog: Catalog) -> None:
    spec = catalog.backbones["rdnet_large"]
    layers = (layer for layer in on_meta(spec).modules() if isinstance(layer, nn.Conv2d))
    assert any(layer.out_channels == 1000 for layer in layers)
    assert spec.head == ("head.fc",)


@pytest.mark.parametrize(
    ("name", "head", "width"),
    [("vgg11", "head.fc", 4096), ("mobilenetv3_small_050", "classifier", 1024)],
)
def test_a_head_may_be_wider_than_the_features(catalog: Catalog, name: str, head: str, width: int) -> None:
    model = on_meta(catalog.backbones[name])
    assert model.get_submodule(head).in_features == width == model.head_hidden_size != model.num_features


def test_other_layers_in_timms_last_group_are_not_heads(catalog: Catalog) -> None:
    spec = catalog.backbones["convnext_atto"]
    assert (spec.head, spec.blocks[-1].name) == (("head.fc",), "head.norm")


def test_a_token_is_in_the_block_that_first_reads_it(catalog: Catalog) -> None:
    spec = catalog.backbones["cait_xxs24_224"]
    assert block_of(spec, "pos_embed") == "stem"
    assert block_of(spec, "cls_token") == "blocks_token_only.0"


def test_all_names_of_a_shared_parameter_are_in_the_same_block(catalog: Catalog) -> None:
    spec = catalog.backbones["coat_lite_tiny"]
    names = {}
    for name, parameter in on_meta(spec).named_parameters(remove_duplicate=False):
        names.setdefault(id(parameter), []).append(name)
    shared = [several for several in names.values() if len(several) > 1]
    assert shared
    assert all(len({block_of(spec, name) for name in several}) == 1 for several in shared)


def test_the_classifier_is_the_largest_region_with_flat_inputs(catalog: Catalog) -> None:
    assert catalog.backbones["efficientvit_b0"].classifier == "head.classifier"
    assert catalog.backbones["convnext_atto"].classifier is None  # its head begins with pooling
    assert catalog.backbones["resnet18"].classifier is None  # its head is a single layer


def test_parameters_missing_in_a_headless_model_are_found(catalog: Catalog) -> None:
    spec = catalog.backbones["caformer_s18"]
    with torch.device("meta"):
        headless = timm.create_model("caformer_s18", num_classes=0)
    assert find_lacking(on_meta(spec), headless, spec.head) == ("head.fc.fc1", "head.fc.norm")


def test_most_headless_models_lack_only_the_head(catalog: Catalog) -> None:
    spec = catalog.backbones["vit_small_patch14_dinov2"]
    assert (spec.weights[0].num_classes, spec.weights[0].lacks) == (None, ())


@pytest.mark.usefixtures("cataloged_timm")  # an older timm lacks most of them
@pytest.mark.parametrize(
    "name",
    ["deepseek_vit_412m_enc", "mobilenetv5_300m_enc", "qwen3_vit_88m_enc", "qwen3_vit_306m_enc", "qwen3_vit_416m_enc"],
)
def test_an_encoder_without_a_classifier_gets_a_head(catalog: Catalog, name: str) -> None:
    spec = catalog.backbones[name]
    model = on_meta(spec)
    assert spec.head == ("head",)
    assert spec.constructor is None  # timm alone does not build this head
    assert model(torch.empty(2, *spec.input.size, device="meta")).shape == (2, 1000)


@pytest.mark.usefixtures("cataloged_timm")
def test_the_head_of_an_encoder_uses_the_mean_token(catalog: Catalog) -> None:
    model = catalog.backbones["qwen3_vit_88m_enc"].build(None).eval()
    images = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        logits = model(images)
        tokens = model.merger(model.forward_features(images))
        assert logits.shape == (2, 1000)
        assert torch.equal(logits, model.head(tokens.mean(dim=1)))
