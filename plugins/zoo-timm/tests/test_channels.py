"""The first convolutions in the catalog are timm's, and adapting them gives timm's weights."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
import timm
import torch
from timm.models import get_pretrained_cfg

from zoo.models.build import build_backbone
from zoo.models.channels import adapt_channels
from zoo.models.weights.choose import WeightsSource
from zoo.progress import Silent
from zoo_timm.reading import read_backbone

if TYPE_CHECKING:
    from zoo_timm.catalog import Catalog

#: Modules of timm whose first layer is not a convolution of three channels.
OTHERS = {"csatv2", "gemma4_vit", "naflexvit", "tresnet"}


@pytest.mark.usefixtures("cataloged_timm")
def test_first_convolutions_are_those_in_timms_cfgs(catalog: Catalog) -> None:
    for name, spec in catalog.backbones.items():
        named = None if spec.family in OTHERS else get_pretrained_cfg(name).first_conv
        assert spec.first_conv == (tuple(named) if isinstance(named, list) else named)
        assert ("channels" in spec.supports) == (named is not None)


@pytest.mark.usefixtures("cataloged_timm")
@pytest.mark.parametrize("name", ["test_nfnet", "resnet18", "repvgg_a0", "tresnet_m", "vit_tiny_r_s16_p8_224"])
def test_what_is_read_from_timm_is_in_the_catalog(catalog: Catalog, name: str) -> None:
    listed, found = catalog.backbones[name], read_backbone(name)
    for field in ("first_conv", "supports", "unsupported", "expected_failures"):
        assert getattr(found, field) == getattr(listed, field)


@pytest.mark.parametrize("channels", [1, 2, 5])
@pytest.mark.parametrize("name", ["resnet18", "repvgg_a0"])
def test_adapted_weights_give_the_outputs_of_timm(catalog: Catalog, name: str, channels: int) -> None:
    spec = catalog.backbones[name]
    torch.manual_seed(0)
    model, _ = build_backbone(spec, WeightsSource("none"), Silent())
    tensors = {key: tensor.clone() for key, tensor in model.state_dict().items()}
    adapt_channels(spec, model, channels)
    overlay = {"state_dict": tensors}
    theirs = timm.create_model(name, pretrained=True, in_chans=channels, pretrained_cfg_overlay=overlay)
    ours = model.state_dict()
    assert all(torch.equal(tensor, ours[key]) for key, tensor in theirs.state_dict().items())
    images = torch.randn(2, channels, 64, 64)
    assert torch.equal(model.eval()(images), theirs.eval()(images))


def test_a_backbone_without_a_first_convolution_says_why(catalog: Catalog) -> None:
    assert re.search("not a convolution", catalog.backbones["tresnet_m"].unsupported["channels"])
