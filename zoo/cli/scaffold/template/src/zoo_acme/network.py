"""The network, in plain PyTorch without zoo. Replace it with your own."""

from __future__ import annotations

from torch import Tensor, nn


class ConvNet(nn.Module):
    """A small convolutional network that maps images of shape (N, 3, H, W) to logits of shape (N, num_classes)."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.stem = make_stage(3, 16)
        self.layer1 = make_stage(16, 32)
        self.layer2 = make_stage(32, 64)
        self.fc = nn.Linear(64, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits."""
        features = self.layer2(self.layer1(self.stem(images)))
        logits: Tensor = self.fc(features.mean(dim=(2, 3)))
        return logits


def make_stage(inputs: int, outputs: int) -> nn.Sequential:
    """Build a 3x3 convolution that halves height and width, with batch norm and ReLU."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, stride=2, padding=1, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(),
    )
