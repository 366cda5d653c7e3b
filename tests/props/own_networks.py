"""Files with networks that no plugin provides, as users write them."""

from __future__ import annotations

from pathlib import Path

#: A small network that defines its layers in a different order from the one in which it uses them, with batch norm and
#: dropout. If KILL_AT is set, its process kills itself with SIGKILL at that training step.
NETWORK = """
import os
import signal

from torch import nn


class ConvNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(12, 7)
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, stride=2, padding=1), nn.BatchNorm2d(8), nn.ReLU())
        self.layer1 = nn.Sequential(nn.Conv2d(8, 12, 3, stride=2, padding=1), nn.BatchNorm2d(12), nn.ReLU())
        self.drop = nn.Dropout(0.1)
        self.steps = 0

    def forward(self, images):
        self.steps += self.training
        if self.training and self.steps == int(os.environ.get("KILL_AT", "-1")):
            os.kill(os.getpid(), signal.SIGKILL)
        return self.fc(self.drop(self.layer1(self.stem(images)).mean((2, 3))))


def build():
    return ConvNet()


def fail():
    raise ValueError("no such weights")


def number():
    return 3
"""


def write_network(folder: Path, text: str = NETWORK) -> Path:
    """Write the file of the network."""
    path = folder / "net.py"
    path.write_text(text, encoding="utf-8")
    return path
