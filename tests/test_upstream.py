"""Model files load strictly into plain upstream networks, including difficult ones, and predict the same there."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
import torchvision
from safetensors.torch import load_file
from torch import nn

import zoo

pytestmark = pytest.mark.breadth

Build = Callable[[], nn.Module]

PLAIN: dict[str, Build] = {
    "resnet50": lambda: torchvision.models.resnet50(num_classes=2),
    "alexnet": lambda: torchvision.models.alexnet(num_classes=2),
    "squeezenet1_1": lambda: torchvision.models.squeezenet1_1(num_classes=2),
    "googlenet": lambda: torchvision.models.googlenet(num_classes=2, init_weights=False),
    "inception_v3": lambda: torchvision.models.inception_v3(num_classes=2, init_weights=False),
    "vit_b_16": lambda: torchvision.models.vit_b_16(num_classes=2),
    "timm/deit_tiny_distilled_patch16_224": lambda: timm.create_model("deit_tiny_distilled_patch16_224", num_classes=2),
    "timm/coat_lite_tiny": lambda: timm.create_model("coat_lite_tiny", num_classes=2),
    "timm/mobilenetv2_035": lambda: timm.create_model("mobilenetv2_035", num_classes=2),
}


def finetune(name: str, data: Path, output: Path, **options: Any) -> zoo.Run:
    return zoo.finetune(name, data, output=output, weights="none", epochs=1, batch_size=2, workers=0, **options)


@pytest.mark.parametrize("name", PLAIN)
def test_a_model_file_loads_strictly_into_upstream_and_predicts_the_same(
    name: str, few_photos: Path, tmp_path: Path
) -> None:
    run = finetune(name, few_photos, tmp_path / "run")
    model = PLAIN[name]()
    model.load_state_dict(load_file(run.path / "model.safetensors"))
    classifier = zoo.load(run)
    size = classifier.header.input.size
    images = torch.rand(2, *size, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        theirs, ours = model.eval()(images), classifier.model(images)
    assert torch.allclose(theirs.softmax(1), ours.softmax(1), atol=1e-4)


def test_vgg16_with_a_new_classifier_trains_nothing_else(few_photos: Path, tmp_path: Path) -> None:
    run = finetune("vgg16", few_photos, tmp_path / "run", head="mlp:4096,4096")
    tensors = load_file(run.path / "model.safetensors")
    shapes = {name: tuple(tensor.shape) for name, tensor in tensors.items() if name.startswith("classifier")}
    assert shapes == {
        "classifier.0.weight": (4096, 25088),
        "classifier.0.bias": (4096,),
        "classifier.3.weight": (4096, 4096),
        "classifier.3.bias": (4096,),
        "classifier.6.weight": (2, 4096),
        "classifier.6.bias": (2,),
    }
    kinds = [type(layer).__name__ for layer in zoo.load(run).model.classifier]  # type: ignore[union-attr]
    assert kinds == ["Linear", "ReLU", "Dropout", "Linear", "ReLU", "Dropout", "Linear"]
    learning = sum(tensor.numel() for name, tensor in tensors.items() if name.startswith("classifier"))
    assert run.facts["params"]["learning"] == learning
    assert run.facts["frozen"]["before"] == run.facts["frozen"]["after"]
    torchvision.models.vgg16(num_classes=2, init_weights=False).load_state_dict(tensors)
