"""Tiny networks that keep every promise."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

SIDE, WIDTH = 16, 16


class Apply(nn.Module):
    """A layer that applies a function."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, features: Tensor) -> Tensor:
        return self.function(features)


def conv(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, padding=1, stride=2), nn.BatchNorm2d(outputs), nn.ReLU(), nn.Dropout(0.1)
    )


class ConvNet(nn.Module):
    """A network of convolutions, batch norms and dropouts, with a classifier of two layers."""

    def __init__(self, num_classes: int = 10) -> None:
        super().__init__()
        self.stem = conv(3, 8)
        self.layer1 = conv(8, 8)
        self.layer2 = conv(8, WIDTH)
        self.pool = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.classifier = nn.Sequential(nn.Linear(WIDTH, 12), nn.ReLU(), nn.Dropout(0.1), nn.Linear(12, num_classes))
        self.checkpointing = False

    def set_grad_checkpointing(self, enable: bool = True) -> None:  # noqa: FBT001, FBT002  # timm's convention
        self.checkpointing = enable

    def run_features(self, images: Tensor) -> Tensor:
        """Return the input of the classifier."""
        features: Tensor = self.stem(images)
        for layer in (self.layer1, self.layer2):
            features = checkpoint(layer, features, use_reentrant=False) if self.checkpointing else layer(features)
        return self.pool(features)

    def run_hidden(self, images: Tensor) -> Tensor:
        """Return the input of the head."""
        return self.classifier[:-1](self.run_features(images))

    def forward(self, images: Tensor) -> Tensor:
        return self.classifier(self.run_features(images))

    def add(self, stage: str, function: Callable[[Tensor], Tensor]) -> None:
        """Apply a function after a stage, without changing any name."""
        self.get_submodule(stage).append(Apply(function))


@dataclass
class Output:
    """What networks of some libraries return instead of logits."""

    logits: Tensor
    features: Tensor


class FieldNet(ConvNet):
    """A network that returns an object."""

    def forward(self, images: Tensor) -> Output:  # type: ignore[override]  # it differs on purpose
        features = self.run_features(images)
        return Output(self.classifier(features), features)


class TowerNet(ConvNet):
    """A network without a head, which returns features."""

    def __init__(self) -> None:
        super().__init__()
        self.classifier = self.classifier[:-1]


class FieldTowerNet(TowerNet):
    """A network without a head that returns a mapping."""

    def forward(self, images: Tensor) -> dict[str, Tensor]:  # type: ignore[override]  # it differs on purpose
        return {"features": super().forward(images), "images": images}


class ScaledNet(ConvNet):
    """A network that multiplies its logits by a parameter."""

    def __init__(self, num_classes: int = 10) -> None:
        super().__init__(num_classes)
        self.logit_scale = nn.Parameter(torch.zeros(()))

    def forward(self, images: Tensor) -> Tensor:
        return super().forward(images) * self.logit_scale.exp()


class AuxNet(ConvNet):
    """A network with an auxiliary head that is used only in training mode."""

    def __init__(self, num_classes: int = 10) -> None:
        super().__init__(num_classes)
        self.aux = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, num_classes))

    def forward(self, images: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        if not self.training:
            return super().forward(images)
        middle = self.layer1(self.stem(images))
        return self.classifier(self.pool(self.layer2(middle))), self.aux(middle)


class MaskNet(ConvNet):
    """A network with a constant mask of zeros and ones, and a token that its forward pass does not use."""

    def __init__(self, num_classes: int = 10) -> None:
        super().__init__(num_classes)
        self.mask = nn.Parameter((torch.arange(8) % 4 > 0).float().reshape(8, 1, 1), requires_grad=False)
        self.token = nn.Parameter(torch.zeros(WIDTH))
        self.add("stem", self.hide)

    def hide(self, features: Tensor) -> Tensor:
        """Set the masked channels to zero."""
        return features * self.mask


class Attention(nn.Module):
    """Attention, followed by two layers that share their weight."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(WIDTH)
        self.qkv = nn.Linear(WIDTH, 3 * WIDTH)
        self.mlp = nn.Sequential(nn.Linear(WIDTH, WIDTH), nn.GELU(), nn.Linear(WIDTH, WIDTH))
        self.mlp[2].weight = self.mlp[0].weight

    def forward(self, tokens: Tensor) -> Tensor:
        queries, keys, values = self.qkv(self.norm(tokens)).chunk(3, dim=-1)
        tokens = tokens + functional.scaled_dot_product_attention(queries, keys, values)
        return tokens + self.mlp(tokens)


class TokenNet(nn.Module):
    """A network with two heads, one for each of two tokens, that returns the mean of their logits."""

    def __init__(self, num_classes: int = 10) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, WIDTH, 4, stride=4)
        self.class_token = nn.Parameter(torch.zeros(1, 1, WIDTH))
        self.other_token = nn.Parameter(torch.zeros(1, 1, WIDTH))
        self.position = nn.Parameter(torch.randn(1, 2 + (SIDE // 4) ** 2, WIDTH) / 50)
        self.layers = nn.Sequential(Attention(), Attention())
        self.norm = nn.LayerNorm(WIDTH)
        self.head = nn.Linear(WIDTH, num_classes)
        self.other_head = nn.Linear(WIDTH, num_classes)

    def run_features(self, images: Tensor) -> Tensor:
        """Return all tokens after the last layer."""
        tokens = self.patches(images).flatten(2).transpose(1, 2)
        added = [token.expand(len(images), -1, -1) for token in (self.class_token, self.other_token)]
        return self.norm(self.layers(torch.cat([*added, tokens], 1) + self.position))

    def forward(self, images: Tensor) -> Tensor:
        tokens = self.run_features(images)
        return (self.head(tokens[:, 0]) + self.other_head(tokens[:, 1])) / 2


class SqueezeNet(nn.Module):
    """A network whose head is a convolution followed by a ReLU. With random weights, its logits are often all zero."""

    def __init__(self, num_classes: int = 10) -> None:
        super().__init__()
        self.stem = conv(3, 8)
        self.layer1 = nn.Sequential(conv(8, WIDTH), nn.AdaptiveAvgPool2d(1))
        self.head = nn.Conv2d(WIDTH, num_classes, 1)
        self.last = nn.Sequential(nn.ReLU(), nn.Flatten())

    def forward(self, images: Tensor) -> Tensor:
        return self.last(self.head(self.layer1(self.stem(images))))


class LinearNet(nn.Module):
    """A network of linear layers only, which torch compiles without a C++ compiler."""

    def __init__(self, num_classes: int = 10) -> None:
        super().__init__()
        self.first = nn.Linear(3 * SIDE * SIDE, 8)
        self.second = nn.Linear(8, 8)
        self.fc = nn.Linear(8, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        return self.fc(self.second(self.first(images.flatten(1))))


def make_weights() -> dict[str, Tensor]:
    """Generate tensors for a ConvNet. They are not random, because random numbers differ between versions of torch."""
    state = ConvNet().state_dict()
    filled = {name: _fill(tensor) for name, tensor in state.items() if tensor.is_floating_point()}
    return {name: filled.get(name, tensor) for name, tensor in state.items()}


def _fill(tensor: Tensor) -> Tensor:
    waves = torch.linspace(1, 5 + tensor.ndim, tensor.numel(), dtype=torch.float64).mul(7).sin()
    # Running statistics must be positive; adding one does not matter elsewhere.
    return (waves / 2 + 1 if tensor.ndim == 1 else waves / 4).reshape(tensor.shape).float()
