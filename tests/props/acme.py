"""A tiny real network, and photos that it learns to classify in a second."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from zoo.plugin import BackboneSpec, BlockSpec, InputSpec

if TYPE_CHECKING:
    from torch import nn

INPUT = InputSpec(size=(3, 16, 16), resize=16, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))


def build_acme(_tag: str | None) -> nn.Module:
    """Build a network with everything that is hard to freeze: batch norm, dropout, a buffer and a hidden layer."""
    from collections import OrderedDict

    from torch import nn

    def conv(inputs: int, outputs: int) -> nn.Module:
        return nn.Sequential(
            nn.Conv2d(inputs, outputs, 3, padding=1, stride=2), nn.BatchNorm2d(outputs), nn.ReLU(), nn.Dropout(0.1)
        )

    return nn.Sequential(
        OrderedDict(
            stem=conv(3, 8),
            layer1=conv(8, 8),
            layer2=conv(8, 16),
            pool=nn.AdaptiveAvgPool2d(1),
            flatten=nn.Flatten(),
            classifier=nn.Sequential(nn.Linear(16, 12), nn.ReLU(), nn.Dropout(0.1), nn.Linear(12, 10)),
        )
    )


def make_acme() -> BackboneSpec:
    """Return the spec of the tiny network, without published weights."""
    blocks = ("stem", "layer1", "layer2")
    return BackboneSpec(
        name="acme/net",
        family="acme",
        build=build_acme,
        head=("classifier.3",),
        classifier="classifier",
        blocks=(*(BlockSpec(name, (name,)) for name in blocks), BlockSpec("hidden", ("classifier.0",))),
        num_classes=10,
        params=2374,
        license="MIT",
        input=INPUT,
    )


def draw_photos(folder: Path, *, per_class: int, classes: tuple[str, ...] = ("blue", "red"), seed: int = 0) -> None:
    """Generate noisy images in ``folder/CLASS``, with one color per class."""
    import torch
    from PIL import Image

    generator = torch.Generator().manual_seed(seed)
    for index, name in enumerate(classes):
        (folder / name).mkdir(parents=True, exist_ok=True)
        for number in range(per_class):
            pixels = torch.randint(0, 120, (3, 20, 24), generator=generator, dtype=torch.uint8)
            pixels[index % 3] += 120
            Image.fromarray(pixels.permute(1, 2, 0).numpy()).save(folder / name / f"{number}.png")
