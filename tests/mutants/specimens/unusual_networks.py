"""Small networks that are unusual, and right: each has something that many networks have and most do not."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.parametrizations import spectral_norm, weight_norm
from torch.utils.checkpoint import checkpoint

from specimens.networks import SIDE, WIDTH, AuxNet, ConvNet, TokenNet

CLASSES = 10
NETWORKS: dict[str, Callable[[], nn.Module]] = {}


def unusual(make: Callable[[], nn.Module]) -> Callable[[], nn.Module]:
    """Register a function that builds an unusual network; its name with dashes is the backbone's."""
    NETWORKS[make.__name__.replace("_", "-")] = make
    return make


class Staged(nn.Module):
    """A network of a stem, two layers and a head, whose layers subclasses and callers replace."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1, stride=2), nn.GroupNorm(2, 8), nn.ReLU())
        self.layer1 = nn.Sequential(nn.Conv2d(8, 8, 3, padding=1), nn.GroupNorm(2, 8), nn.ReLU())
        self.layer2 = nn.Sequential(nn.Conv2d(8, WIDTH, 3, padding=1, stride=2), nn.GroupNorm(2, WIDTH), nn.ReLU())
        self.fc = nn.Linear(WIDTH, CLASSES)

    def forward(self, images: Tensor) -> Tensor:
        features = self.layer2(self.layer1(self.stem(images)))
        logits: Tensor = self.fc(features.mean((2, 3)))
        return logits


class Residual(nn.Module):
    """A residual branch that training drops for some images, scaled by a parameter that begins at zero."""

    def __init__(self, *, drop: float = 0.0, scale: float | None = None) -> None:
        super().__init__()
        self.conv = nn.Conv2d(8, 8, 3, padding=1)
        self.drop = drop
        self.gamma = None if scale is None else nn.Parameter(torch.full((8, 1, 1), scale))

    def forward(self, features: Tensor) -> Tensor:
        branch: Tensor = self.conv(features).relu()
        branch = branch if self.gamma is None else branch * self.gamma
        if self.training and self.drop:
            branch = branch * torch.empty(len(branch), 1, 1, 1, device=branch.device).bernoulli_(1 - self.drop)
        return features + branch


@unusual
def drops_layers_in_training() -> nn.Module:
    class Net(Staged):
        checkpointing = False

        def set_grad_checkpointing(self, enable: bool = True) -> None:  # noqa: FBT001, FBT002  # timm's convention
            self.checkpointing = enable

        def forward(self, images: Tensor) -> Tensor:
            run: Any = self.layer1
            if self.checkpointing and self.training:
                run = lambda features: checkpoint(self.layer1, features, use_reentrant=False)  # noqa: E731
            logits: Tensor = self.fc(self.layer2(run(self.stem(images))).mean((2, 3)))
            return logits

    model = Net()
    model.layer1 = nn.Sequential(Residual(drop=0.5), nn.Dropout(0.5), Residual(drop=0.5))
    return model


@unusual
def checkpoints_like_transformers() -> nn.Module:
    class Net(Staged):
        supports_gradient_checkpointing = True
        gradient_checkpointing = False

        def gradient_checkpointing_enable(self, gradient_checkpointing_kwargs: Any = None) -> None:
            del gradient_checkpointing_kwargs
            self.gradient_checkpointing = True

        def gradient_checkpointing_disable(self) -> None:
            self.gradient_checkpointing = False

        def forward(self, images: Tensor) -> Tensor:
            features = self.stem(images)
            if self.gradient_checkpointing and self.training:
                features = checkpoint(self.layer1, features, use_reentrant=True)
            else:
                features = self.layer1(features)
            logits: Tensor = self.fc(self.layer2(features).mean((2, 3)))
            return logits

    return Net()


@unusual
def averages_statistics() -> nn.Module:
    model = Staged()
    model.stem[1] = nn.BatchNorm2d(8, momentum=None)
    return model


@unusual
def has_weight_norm() -> nn.Module:
    model = Staged()
    weight_norm(model.layer1[0])
    return model


@unusual
def has_spectral_norm() -> nn.Module:
    model = Staged()
    spectral_norm(model.layer1[0])
    return model


@unusual
def begins_lazily() -> nn.Module:
    model = Staged()
    model.layer1[0] = nn.LazyConv2d(8, 3, padding=1)
    model(torch.zeros(1, 3, SIDE, SIDE))
    return model


@unusual
def rotates_with_complex_numbers() -> nn.Module:
    class Net(Staged):
        def __init__(self) -> None:
            super().__init__()
            angles = torch.arange(WIDTH // 2) / 3
            self.register_buffer("turns", torch.polar(torch.ones(WIDTH // 2), angles), persistent=False)

        def forward(self, images: Tensor) -> Tensor:
            features = self.layer2(self.layer1(self.stem(images))).mean((2, 3))
            pairs = torch.view_as_complex(features.float().reshape(len(features), -1, 2).contiguous())
            logits: Tensor = self.fc(torch.view_as_real(pairs * self.turns).flatten(1).to(features.dtype))
            return logits

    return Net()


@unusual
def has_tied_weights() -> nn.Module:
    return TokenNet()


@unusual
def has_an_auxiliary_head() -> nn.Module:
    return AuxNet()


@unusual
def begins_with_zero_scales() -> nn.Module:
    model = Staged()
    model.layer1 = nn.Sequential(Residual(scale=0.0), Residual(scale=0.0))
    return model


@unusual
def uses_one_block_twice() -> nn.Module:
    class Net(Staged):
        def forward(self, images: Tensor) -> Tensor:
            features = self.layer1(self.layer1(self.stem(images)))
            logits: Tensor = self.fc(self.layer2(features).mean((2, 3)))
            return logits

    return Net()


@unusual
def works_in_channels_last() -> nn.Module:
    class Net(Staged):
        def forward(self, images: Tensor) -> Tensor:
            return super().forward(images.contiguous(memory_format=torch.channels_last))

    return Net().to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's annotation lacks it


@unusual
def has_buffers_in_double_precision() -> nn.Module:
    class Net(Staged):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("offset", torch.full((3, 1, 1), 0.1, dtype=torch.float64))

        def forward(self, images: Tensor) -> Tensor:
            return super().forward((images - self.offset).to(images.dtype))

    return Net()


@unusual
def computes_in_several_dtypes() -> nn.Module:
    class Net(Staged):
        def forward(self, images: Tensor) -> Tensor:
            features = self.layer2(self.layer1(self.stem(images))).double().mean((2, 3))
            logits: Tensor = self.fc(features.to(self.fc.weight.dtype))
            return logits

    return Net()


@unusual
def normalizes_a_single_pixel() -> nn.Module:
    model = Staged()
    model.layer2 = nn.Sequential(
        nn.Conv2d(8, WIDTH, 1), nn.AdaptiveAvgPool2d(1), nn.Conv2d(WIDTH, WIDTH, 1), nn.BatchNorm2d(WIDTH), nn.ReLU()
    )
    return model


@unusual
def takes_long_to_begin() -> nn.Module:
    model = Staged()
    for _ in range(300):
        nn.init.orthogonal_(model.layer2[0].weight)
    return model


@unusual
def has_frozen_batch_norms() -> nn.Module:
    class FrozenNorm(nn.Module):
        def __init__(self, width: int) -> None:
            super().__init__()
            for name, value in {"weight": 1.0, "bias": 0.0, "running_mean": 0.0, "running_var": 1.0}.items():
                self.register_buffer(name, torch.full((width,), value))

        def forward(self, features: Tensor) -> Tensor:
            state = (self.running_mean, self.running_var, self.weight, self.bias)
            return functional.batch_norm(features, *state)  # type: ignore[arg-type]  # buffers are tensors

    model = Staged()
    model.stem[1], model.layer1[1] = FrozenNorm(8), FrozenNorm(8)
    return model


@unusual
def looks_positions_up() -> nn.Module:
    class Net(Staged):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("index", torch.arange(WIDTH).flip(0), persistent=False)
            self.table = nn.Parameter(torch.randn(WIDTH) / 10)

        def forward(self, images: Tensor) -> Tensor:
            features = self.layer2(self.layer1(self.stem(images))).mean((2, 3))
            logits: Tensor = self.fc(features + self.table[self.index])
            return logits

    return Net()


@unusual
def attends_on_the_fast_path() -> nn.Module:
    class Net(Staged):
        def __init__(self) -> None:
            super().__init__()
            self.layer2 = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
            self.fc = nn.Linear(8, CLASSES)

        def forward(self, images: Tensor) -> Tensor:
            tokens = self.layer1(self.stem(images)).flatten(2).transpose(1, 2)
            logits: Tensor = self.fc(self.layer2(tokens).mean(1))
            return logits

    return Net()


@unusual
def has_a_gradient_of_its_own() -> nn.Module:
    class Swish(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, features: Tensor) -> Tensor:
            ctx.save_for_backward(features)
            return features * features.sigmoid()

        @staticmethod
        def backward(ctx: Any, gradient: Tensor) -> Tensor:
            (features,) = ctx.saved_tensors
            gate = features.sigmoid()
            return gradient * (gate + features * gate * (1 - gate))

    class Net(Staged):
        def forward(self, images: Tensor) -> Tensor:
            features = Swish.apply(self.layer1(self.stem(images)))
            logits: Tensor = self.fc(self.layer2(features).mean((2, 3)))
            return logits

    return Net()


@unusual
def scales_its_logits() -> nn.Module:
    class Net(Staged):
        def forward(self, images: Tensor) -> Tensor:
            return super().forward(images) * math.sqrt(2)

    return Net()


@unusual
def has_instance_norms_with_statistics() -> nn.Module:
    model = Staged()
    model.layer1[1] = nn.InstanceNorm2d(8, affine=True, track_running_stats=True)
    return model


@unusual
def is_a_chain_of_convolutions() -> nn.Module:
    return ConvNet()
