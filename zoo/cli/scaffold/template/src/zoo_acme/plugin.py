"""The plugin for zoo: the specs of the acme backbones.

Nothing in this module imports torch before `build` is called, so that `zoo list` is fast.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from zoo.plugin import BackboneSpec, BlockSpec, InputSpec, hookimpl

if TYPE_CHECKING:
    from torch import nn

#: Version of zoo's plugin contract that this module is written for.
ZOO_API = 2

#: Default number of outputs of the head.
NUM_CLASSES = 10


def build(tag: str | None = None) -> nn.Module:
    """Build the network with random weights. `tag` is the name of the weights that zoo will load into it, if any."""
    from .network import ConvNet

    return ConvNet(NUM_CLASSES)


@hookimpl
def zoo_backbones() -> list[BackboneSpec]:
    """Return the specs of the backbones. `zoo check acme` verifies them."""
    return [
        BackboneSpec(
            name="acme/net",
            family="acme",
            build=build,
            # The path of the last layer. zoo replaces it with a layer for the user's classes.
            head=("fc",),
            # The blocks from input to output. Each one has a name (for `--train from:NAME`) and the prefixes of its
            # parameter names.
            blocks=(
                BlockSpec("stem", ("stem",)),
                BlockSpec("layer1", ("layer1",)),
                BlockSpec("layer2", ("layer2",)),
            ),
            # How images are preprocessed: in the same way as when the network was trained.
            input=InputSpec(size=(3, 64, 64), resize=64, mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.25), min_size=1),
            params=24_346,
            num_classes=NUM_CLASSES,
            license="Apache-2.0",
            # How to build the network without zoo. The model card of a run shows this code.
            constructor="zoo_acme.network.ConvNet(num_classes={num_classes})",
            supports=("image_sizes", "bf16", "export"),
        )
    ]
