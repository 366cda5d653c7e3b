"""Backbones with a wrong declaration of blocks."""

from __future__ import annotations

from typing import Any

from specimens.good import BLOCKS
from specimens.register import built, declared
from zoo.plugin import BlockSpec

STEM, LAYER1, LAYER2, HIDDEN = BLOCKS

declared(
    "overlapping-blocks",
    {"blocks.partition": "parameter layer1.0.weight is in layer1 and layers"},
    lambda: {"blocks": (STEM, LAYER1, BlockSpec("layers", ("layer1", "layer2")), HIDDEN)},
)
declared(
    "prefix-without-parameters",
    {"blocks.partition": "has the prefix layer3, which no parameter or buffer of the model has; similar"},
    lambda: {"blocks": (STEM, LAYER1, BlockSpec("layer2", ("layer2", "layer3")), HIDDEN)},
)
declared(
    "missing-block",
    {"blocks.partition": "parameter layer2.0.weight is in neither a block nor a head"},
    lambda: {"blocks": (STEM, LAYER1, HIDDEN)},
)
declared(
    "block-without-parameters",
    {"blocks.partition": "declares the block neck, which matches no parameter or buffer of its model"},
    lambda: {"blocks": (STEM, LAYER1, LAYER2, BlockSpec("neck", ("neck",)), HIDDEN)},
)


@built({"blocks.partition": "parameter layer1.4.weight is in stem, and under another name in layer1"}, params=2438)
def ties_weights_across_blocks(model: Any, torch: Any) -> None:
    for layer in (model.stem, model.layer1):
        layer.append(torch.nn.Conv2d(8, 8, 1, bias=False))
    model.layer1[4].weight = model.stem[4].weight


declared(
    "missing-buffers",
    {"blocks.buffers": "the buffer stem.1.running_mean is in neither a block nor a head; add its module"},
    lambda: {"blocks": (BlockSpec("stem", ("stem.0", "stem.1.weight", "stem.1.bias")), LAYER1, LAYER2, HIDDEN)},
)

declared(
    "blocks-in-the-wrong-order",
    {"blocks.order": "layer2.0.weight of layer2 is used after layer1.1.bias of layer1; declare blocks in the order"},
    lambda: {"blocks": (STEM, LAYER2, LAYER1, HIDDEN)},
)


@built(
    {"blocks.order": "classifier.0.scale of hidden is used after every head; it must belong to a head, or be"},
    params=2375,
)
def scales_its_logits(model: Any, torch: Any) -> None:
    model.classifier[0].register_parameter("scale", torch.nn.Parameter(torch.ones(1)))
    model.add("classifier", lambda logits: logits * model.classifier[0].scale)


declared(
    "one-block",
    {"blocks.several": "it has only one block; declare its stages"},
    lambda: {"blocks": (BlockSpec("body", ("stem", "layer1", "layer2", "classifier.0")),)},
)
declared(
    "outdated-excuse-for-one-block",
    {"blocks.several": "it declares freezing unsupported (it is one block), but supports it; remove the entry"},
    lambda: {"unsupported": {"freezing": "it is one block"}},
)
