"""The claims of the spec about the network and its weights."""

from __future__ import annotations

import torch
from safetensors.torch import load_file

import zoo_tiny
from zoo.plugin import BackboneSpec
from zoo_tiny.figures import FIGURES
from zoo_tiny.pretrain import hash_file


def test_params_is_the_number_of_parameters(spec: BackboneSpec) -> None:
    assert sum(parameter.numel() for parameter in spec.build(None).parameters()) == spec.params < 300_000


def test_the_weights_file_has_the_pinned_hash(spec: BackboneSpec) -> None:
    [weights] = spec.weights
    assert hash_file(zoo_tiny.WEIGHTS) == weights.sha256
    assert zoo_tiny.WEIGHTS.stat().st_size == weights.size < 1_500_000


def test_the_weights_load_strictly_and_have_a_class_for_every_shape(spec: BackboneSpec) -> None:
    network = spec.build("DRAWN_V1").eval()
    network.load_state_dict(load_file(zoo_tiny.WEIGHTS), strict=True)
    with torch.inference_mode():
        assert network(torch.zeros(1, *spec.input.size)).shape == (1, spec.num_classes)
    assert spec.num_classes == len(FIGURES) == spec.weights[0].num_classes


def test_images_of_min_size_and_larger_are_accepted(spec: BackboneSpec) -> None:
    network = spec.build(None).eval()
    for side in (spec.input.min_size or 0, 65, 224):
        assert network(torch.zeros(1, 3, side, side)).isfinite().all()
