"""The tiny network with frozen parts, and a network that has one layer under two names."""

from __future__ import annotations

import torch
from torch import nn

from zoo.models.blocks import list_blocks, list_trainable
from zoo.models.freeze import Frozen
from zoo.models.head import Head
from zoo.plugin import BackboneSpec
from zoo.registry.train_scope import TrainScope

HEAD = Head(("classifier.3",))


def freeze(acme: BackboneSpec, train: str = "head") -> tuple[nn.Module, Frozen]:
    torch.manual_seed(0)
    model = acme.build(None)
    learning = list_trainable(list_blocks(acme, model, HEAD), HEAD, TrainScope.parse(train))
    return model, Frozen(model, learning)


class Shared(nn.Module):
    """A network that has one layer under two names."""

    def __init__(self) -> None:
        super().__init__()
        self.one = nn.Linear(3, 3)
        self.two = self.one
        self.head = nn.Linear(3, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.head(self.two(self.one(x)))
        return logits
