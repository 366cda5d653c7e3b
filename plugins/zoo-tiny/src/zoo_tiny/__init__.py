"""zoo's plugin with a tiny backbone, its weights and a synthetic data set. It works offline.

Copy it to write a plugin of your own. Nothing in this module imports torch before a function is called.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from zoo.plugin import BackboneSpec, BlockSpec, DatasetSpec, InputSpec, WeightsSpec, hookimpl

if TYPE_CHECKING:
    from torch import nn

#: Version of zoo's plugin contract that this module is written for.
ZOO_API = 2

WEIGHTS = Path(__file__).with_name("weights.safetensors")
#: Number of classes that the weights were trained on; figures.py defines them.
NUM_CLASSES = 24


def build(tag: str | None = None, *, num_classes: int = NUM_CLASSES) -> nn.Module:  # noqa: ARG001  # tags don't matter
    """Build the network with random weights."""
    from zoo_tiny_network import TinyNet

    return TinyNet(num_classes)


def make_suns_moons(folder: Path) -> None:
    """Generate the data set."""
    from zoo_tiny import suns_moons

    suns_moons.make_suns_moons(folder)


@hookimpl
def zoo_backbones() -> list[BackboneSpec]:
    """List the plugin's only backbone."""
    return [
        BackboneSpec(
            name="tiny/tiny",
            family="tiny",
            build=build,
            head=("fc",),
            blocks=(
                BlockSpec("stem", ("conv1", "bn1")),
                BlockSpec("layer1", ("layer1",)),
                BlockSpec("layer2", ("layer2",)),
                BlockSpec("layer3", ("layer3",)),
                BlockSpec("layer4", ("layer4",)),
                BlockSpec("norm", ("norm",)),
            ),
            params=227_368,
            num_classes=NUM_CLASSES,
            license="Apache-2.0",
            input=InputSpec(size=(3, 64, 64), resize=64, mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.25), min_size=1),
            weights=(
                WeightsSpec(
                    tag="DRAWN_V1",
                    url=WEIGHTS.as_uri(),
                    sha256="de0a86b1e54c6a41b8d4be0b7a98edcd4a28daf36400dc79d62c729604879542",
                    size=922_640,
                    license="Apache-2.0",
                    num_classes=NUM_CLASSES,
                    logits=(3.257, 36.016, 3.894, -16.016, 13.094),
                ),
            ),
            first_conv="conv1",
            constructor="zoo_tiny_network.TinyNet(num_classes={num_classes})",
            supports=("image_sizes", "channels", "bf16", "export"),
        )
    ]


@hookimpl
def zoo_datasets() -> list[DatasetSpec]:
    """List the plugin's only data set."""
    return [
        DatasetSpec(
            name="tiny/suns_moons",
            description="240 synthetic images of suns and moons, 40 of them for training",
            license="Apache-2.0",
            make=make_suns_moons,
        )
    ]
