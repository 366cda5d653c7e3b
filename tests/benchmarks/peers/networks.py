"""torchvision's networks with the heads of the workloads, and the image transforms."""

from __future__ import annotations

from typing import Any

import torch
import torchvision
from torch import Tensor, nn
from torchvision import transforms

from job import Job

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def build_network(job: Job) -> nn.Module:
    """Build the network with the job's weights, or with random weights."""
    network: nn.Module = torchvision.models.get_model(job.model, weights=None)
    if job.weights:
        from safetensors.torch import load_file

        network.load_state_dict(load_file(job.weights))
    return network


def build_classifier(classes: int) -> nn.Sequential:
    """Build the classic classifier of VGG."""
    return nn.Sequential(
        nn.Linear(512 * 7 * 7, 4096),
        nn.ReLU(inplace=True),
        nn.Dropout(),
        nn.Linear(4096, 4096),
        nn.ReLU(inplace=True),
        nn.Dropout(),
        nn.Linear(4096, classes),
    )


def replace_last_layer(network: nn.Module, classes: int) -> None:
    """Replace the last layer with a new linear layer, as is usually done: ``model.fc = nn.Linear(...)``."""
    name, last = [(name, module) for name, module in network.named_modules() if isinstance(module, nn.Linear)][-1]
    parent, _, attribute = name.rpartition(".")
    setattr(network.get_submodule(parent), attribute, nn.Linear(last.in_features, classes))


def split_network(job: Job) -> tuple[nn.Sequential, nn.Module]:
    """Return the network up to its pooled features of shape (N, C, H, W), and a new head for the flattened features."""
    network: Any = build_network(job)
    if job.workload == "vgg":
        return nn.Sequential(network.features, network.avgpool), build_classifier(len(job.classes))
    if job.workload == "frozen":
        body = nn.Sequential(network.features, nn.AdaptiveAvgPool2d(1))
        return body, nn.Sequential(nn.Dropout(0.2), nn.Linear(1280, len(job.classes)))
    return nn.Sequential(*list(network.children())[:-1]), nn.Linear(512, len(job.classes))


def build_transform(job: Job, *, training: bool) -> transforms.Compose:
    """Build the transform of the transfer learning tutorial for training or validation."""
    crop = (
        [transforms.RandomResizedCrop(job.size), transforms.RandomHorizontalFlip()]
        if training
        else [transforms.Resize(256), transforms.CenterCrop(job.size)]
    )
    return transforms.Compose([*crop, transforms.ToTensor(), transforms.Normalize(MEAN, STD)])


def count_trainable(network: nn.Module) -> int:
    """Count the trainable parameters."""
    return sum(parameter.numel() for parameter in network.parameters() if parameter.requires_grad)


class Counter:
    """A counter of the images that a network is trained on."""

    def __init__(self, network: nn.Module) -> None:
        self.images = 0
        network.register_forward_pre_hook(self._count, with_kwargs=True)

    def _count(self, network: nn.Module, arguments: tuple[Tensor, ...], named: dict[str, Tensor]) -> None:
        if network.training and torch.is_grad_enabled():
            self.images += len(arguments[0] if arguments else named["pixel_values"])
