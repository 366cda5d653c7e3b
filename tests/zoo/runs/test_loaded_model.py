from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image

from zoo.data.decode import decode_image
from zoo.data.transform import build_eval_transform
from zoo.errors import NameNotFound
from zoo.plugin import BackboneSpec
from zoo.registry.plugins.load import Plugin
from zoo.registry.registry import Registry
from zoo.registry.registry_toml import RegistryToml
from zoo.runs.loaded_model import build_transform


def test_build_transform_returns_the_preprocessing_of_the_backbone(
    acme: BackboneSpec, registry: Registry, photos: Path
) -> None:
    path = next((photos / "val").rglob("*.png"))
    transform = build_transform(acme.name, registry=registry)
    expected = build_eval_transform(acme.input)(decode_image(path))
    assert torch.equal(transform(path), expected)
    assert torch.equal(transform(Image.open(path)), expected)


def test_build_transform_needs_no_published_weights(acme: BackboneSpec) -> None:
    registry = Registry([Plugin("acme", "zoo-acme", "1.0", backbones=(replace(acme, weights=()),))], RegistryToml())
    transform = build_transform(acme.name, registry=registry)
    assert transform(torch.zeros(3, 9, 9, dtype=torch.uint8)).shape == acme.input.size


def test_build_transform_refuses_an_unknown_backbone(registry: Registry) -> None:
    with pytest.raises(NameNotFound):
        build_transform("acme/gone", registry=registry)
