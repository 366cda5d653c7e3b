"""zoo's plugin acme: what zoo knows of its backbones before it builds one.

Nothing here imports torch before `build` is called, so that `zoo list` stays fast.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from zoo.plugin import BackboneSpec, BlockSpec, InputSpec, hookimpl

if TYPE_CHECKING:
    from torch import nn

#: The version of zoo's plugin contract that this module is written for.
ZOO_API = 1

#: Outputs of the head as built.
NUM_CLASSES = 10


def build(tag: str | None = None, num_classes: int = NUM_CLASSES) -> nn.Module:
    """Build the network with random weights; `tag` names the weights that zoo will load into it, or is None."""
    from .network import ConvNet

    return ConvNet(num_classes)


@hookimpl
def zoo_backbones() -> list[BackboneSpec]:
    """List the backbones. `zoo check acme` proves what is said of them."""
    return [
        BackboneSpec(
            name="acme/net",
            family="acme",
            build=build,
            # The path of the last layer in the network: zoo replaces it by one for the user's classes.
            head=("fc",),
            # From input to output: a name for `--train from:NAME`, and the prefixes of its parameters' names.
            blocks=(
                BlockSpec("stem", ("stem",)),
                BlockSpec("layer1", ("layer1",)),
                BlockSpec("layer2", ("layer2",)),
            ),
            # How an image becomes the tensor that the network was trained on.
            input=InputSpec(size=(3, 64, 64), resize=64, mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.25), min_size=1),
            params=24_346,
            num_classes=NUM_CLASSES,
            license="Apache-2.0",
            # How people build it without zoo; every run's model card shows it.
            constructor="zoo_acme.build(num_classes={num_classes})",
            supports=("image_sizes", "bf16", "export"),
        )
    ]
