"""A residual network following He et al. 2015, arXiv:1512.03385, with one small block per layer."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class TinyNet(nn.Module):
    """Maps images of shape (N, 3, H, W), ideally 64 x 64 pixels, to logits of shape (N, num_classes)."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, 3, stride=2, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        self.layer1 = Residual(16, 16)
        self.layer2 = Residual(16, 32, stride=2)
        self.layer3 = Residual(32, 64, stride=2)
        self.layer4 = Residual(64, 96, stride=2)
        self.norm = nn.BatchNorm1d(2 * 96)
        self.fc = nn.Linear(2 * 96, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits."""
        x = torch.relu(self.bn1(self.conv1(images)))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        # The mean shows how often a feature occurs, and the maximum how strong it gets. The norm brings both to the
        # same scale, so that a new head trains quickly.
        features = torch.cat([x.mean(dim=(2, 3)), x.amax(dim=(2, 3))], dim=1)
        logits: Tensor = self.fc(self.norm(features))
        return logits


class Residual(nn.Module):
    """Two 3x3 convolutions with a shortcut, which is a 1x1 convolution if the shape changes."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride, bias=False),
                nn.BatchNorm2d(outputs),
            )

    def forward(self, x: Tensor) -> Tensor:
        """Return the features. With a stride of 2, height and width are halved."""
        y = torch.relu(self.bn1(self.conv1(x)))
        return torch.relu(self.bn2(self.conv2(y)) + self.shortcut(x))
