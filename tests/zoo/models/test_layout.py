"""The head and the blocks of a network without a plugin are found in the order in which the forward pass uses them."""

from __future__ import annotations

from collections import OrderedDict

import pytest
import torch
from torch import Tensor, nn

from zoo.errors import OptionError
from zoo.models.layout import find_blocks, find_head
from zoo.models.trace import trace
from zoo.plugin import BackboneSpec, BlockSpec

IMAGES = torch.zeros(1, 3, 16, 16)


class Backward(nn.Module):
    """A network that defines its layers in a different order from the one in which it uses them."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1))
        self.last = nn.Sequential(nn.Linear(8, 6), nn.ReLU(), nn.Linear(6, 5))
        self.second = nn.Conv2d(4, 8, 3, stride=2)
        self.first = nn.Conv2d(3, 4, 3, stride=2)

    def forward(self, images: Tensor) -> Tensor:
        values: Tensor = self.last(self.second(self.first(images)).mean((2, 3)) * self.scale)
        return values


def describe(model: nn.Module) -> tuple[str, tuple[BlockSpec, ...]]:
    traced = trace(model, IMAGES)
    head = find_head(model, traced)
    return head, find_blocks(model, head, traced.uses)


def test_the_head_is_the_last_layer_used_and_blocks_are_in_the_order_of_use() -> None:
    assert describe(Backward()) == (
        "last.2",
        (
            BlockSpec("first", ("first",)),
            BlockSpec("second", ("second",)),
            BlockSpec("scale", ("scale",)),
            BlockSpec("last", ("last.0",)),
        ),
    )


def test_the_same_blocks_are_found_as_a_plugin_declares(acme: BackboneSpec) -> None:
    head, blocks = describe(acme.build(None))
    assert (head,) == acme.head
    assert isinstance(acme.blocks, tuple)
    assert [block.prefixes for block in blocks] == [block.prefixes for block in acme.blocks]


def test_the_blocks_of_a_network_in_a_single_child_are_those_of_the_child(acme: BackboneSpec) -> None:
    head, blocks = describe(nn.Sequential(OrderedDict(net=acme.build(None))))
    assert head == "net.classifier.3"
    assert [block.name for block in blocks] == ["net.stem", "net.layer1", "net.layer2", "net.classifier"]


def test_a_network_without_a_linear_or_convolutional_layer_has_no_head() -> None:
    with pytest.raises(OptionError, match="has no head"):
        describe(nn.Sequential(nn.Flatten()))


def test_a_last_layer_that_is_called_twice_is_not_a_head() -> None:
    layer = nn.Linear(4, 4)
    with pytest.raises(OptionError, match=r"calls 0, its last layer, 2 times.*set `head`"):
        find_head(model := nn.Sequential(layer, layer), trace(model, torch.zeros(1, 4)))
