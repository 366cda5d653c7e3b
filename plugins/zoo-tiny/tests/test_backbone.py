"""What the spec claims of the network and of its weights."""

from __future__ import annotations

import subprocess
import sys

import torch
from safetensors.torch import load_file

import zoo_tiny
from zoo.plugin import BackboneSpec
from zoo_tiny.figures import FIGURES
from zoo_tiny.pretrain import digest_of


def test_listing_imports_nothing_heavy() -> None:
    code = (
        "import sys, zoo_tiny; list(zoo_tiny.zoo_backbones()), list(zoo_tiny.zoo_datasets());"
        "print([name for name in ('torch', 'torchvision', 'numpy', 'PIL') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (done.stdout.strip(), done.stderr) == ("[]", "")


def test_params_are_those_of_the_network(spec: BackboneSpec) -> None:
    assert sum(parameter.numel() for parameter in spec.build(None).parameters()) == spec.params < 300_000


def test_every_parameter_is_in_one_block_or_in_the_head(spec: BackboneSpec) -> None:
    assert isinstance(spec.head, tuple)
    assert isinstance(spec.blocks, tuple)
    prefixes = [*spec.head, *(prefix for block in spec.blocks for prefix in block.prefixes)]
    for name, _ in spec.build(None).named_parameters():
        assert sum(name.startswith(f"{prefix}.") for prefix in prefixes) == 1, name


def test_the_file_is_the_pinned_one(spec: BackboneSpec) -> None:
    [weights] = spec.weights
    assert digest_of(zoo_tiny.WEIGHTS) == weights.sha256
    assert zoo_tiny.WEIGHTS.stat().st_size == weights.size < 1_500_000


def test_the_file_fits_strictly_and_knows_every_figure(spec: BackboneSpec) -> None:
    network = spec.build("DRAWN_V1").eval()
    network.load_state_dict(load_file(zoo_tiny.WEIGHTS), strict=True)
    with torch.inference_mode():
        assert network(torch.zeros(1, *spec.input.size)).shape == (1, spec.num_classes)
    assert spec.num_classes == len(FIGURES) == spec.weights[0].num_classes


def test_the_constructor_builds_the_network_without_zoo(spec: BackboneSpec) -> None:
    assert spec.constructor
    network = eval(spec.constructor.format(num_classes=2), {"zoo_tiny": zoo_tiny})
    wanted = {name: tensor.shape for name, tensor in spec.build(None).state_dict().items() if "fc." not in name}
    found = {name: tensor.shape for name, tensor in network.state_dict().items()}
    assert found == {**wanted, "fc.weight": (2, 192), "fc.bias": (2,)}


def test_any_image_of_its_smallest_size_or_more_will_do(spec: BackboneSpec) -> None:
    network = spec.build(None).eval()
    for side in (spec.input.min_size or 0, 65, 224):
        assert network(torch.zeros(1, 3, side, side)).isfinite().all()
