"""What is in which block, and which of them learn."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import cast

import pytest
import torch
from torch import nn

from freezing import HEAD, Shared
from zoo.errors import NameNotFound, PluginError
from zoo.models.blocks import list_blocks, list_trainable
from zoo.models.freeze import Frozen
from zoo.models.head import Head, get_head, replace_head
from zoo.plugin import BackboneSpec, BlockSpec
from zoo.registry.head_design import HeadDesign
from zoo.registry.train_scope import TrainScope


def test_blocks_come_from_input_to_output_as_declared(acme: BackboneSpec) -> None:
    blocks = list_blocks(acme, acme.build(None), HEAD)
    assert [block.name for block in blocks] == ["stem", "layer1", "layer2", "hidden"]


def test_what_the_head_replaced_is_in_no_block(acme: BackboneSpec) -> None:
    model = acme.build(None)
    head = replace_head(acme, model, 2, HeadDesign((5,)))
    assert [block.name for block in list_blocks(acme, model, head)] == ["stem", "layer1", "layer2"]


def test_blocks_may_be_found_by_a_function(acme: BackboneSpec) -> None:
    blocks = tuple(acme.blocks) if not callable(acme.blocks) else ()
    spec = replace(acme, blocks=lambda _model: blocks)
    assert list_blocks(spec, acme.build(None), HEAD) == blocks


@pytest.mark.parametrize(
    ("blocks", "message"),
    [
        ((("stem", "stem"), ("rest", "layer2 classifier.0")), r"layer1\.0\.weight is in no block and no head"),
        (
            (("stem", "stem"), ("one", "layer1"), ("rest", "layer1.0 layer2 classifier.0")),
            r"layer1\.0\.weight is in one and rest",
        ),
        ((("all", "stem layer1 layer2 classifier"),), r"classifier\.3\.weight is in all and the head"),
        ((("all", "stem layer layer2 classifier.0"),), r"layer1\.0\.weight is in no block"),  # layer is no prefix of it
    ],
)
def test_a_wrong_partition_is_an_error_that_names_the_parameter(
    acme: BackboneSpec, blocks: tuple[tuple[str, str], ...], message: str
) -> None:
    spec = replace(acme, blocks=tuple(BlockSpec(name, tuple(text.split())) for name, text in blocks))
    with pytest.raises(PluginError, match=f"acme/net.*{message}"):
        list_blocks(spec, spec.build(None), HEAD)


class ManyLayers(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer1 = nn.Linear(2, 2)
        self.layer10 = nn.Linear(2, 2)
        self.token = nn.Parameter(torch.zeros(2))
        self.fc = nn.Linear(2, 2)


def test_layer1_is_no_prefix_of_layer10(acme: BackboneSpec) -> None:
    model, head = ManyLayers(), Head(("fc",))
    wrong = replace(acme, head=("fc",), blocks=(BlockSpec("one", ("layer1", "token")),))
    with pytest.raises(PluginError, match=r"layer10\.weight is in no block"):
        list_blocks(wrong, model, head)
    Frozen(model, ("layer1", "fc"))
    assert [name for name, p in model.named_parameters() if p.requires_grad] == [
        "layer1.weight", "layer1.bias", "fc.weight", "fc.bias"
    ]  # fmt: skip


def test_a_bare_parameter_can_be_a_block(acme: BackboneSpec) -> None:
    blocks = (BlockSpec("token", ("token",)), BlockSpec("rest", ("layer1", "layer10")))
    spec, model = replace(acme, head=("fc",), blocks=blocks), ManyLayers()
    learning = list_trainable(list_blocks(spec, model, Head(("fc",))), Head(("fc",)), TrainScope.parse("from:rest"))
    Frozen(model, learning)
    assert [name for name, p in model.named_parameters() if not p.requires_grad] == ["token"]


@pytest.mark.parametrize(
    ("train", "learning"),
    [
        ("head", {"classifier.3"}),
        ("from:hidden", {"classifier.0", "classifier.3"}),
        ("from:layer1", {"layer1", "layer2", "classifier.0", "classifier.3"}),
        ("from:stem", {"stem", "layer1", "layer2", "classifier.0", "classifier.3"}),
        ("all", {"stem", "layer1", "layer2", "classifier.0", "classifier.3"}),
    ],
)
def test_train_says_which_prefixes_learn(acme: BackboneSpec, train: str, learning: set[str]) -> None:
    assert set(list_trainable(list_blocks(acme, acme.build(None), HEAD), HEAD, TrainScope.parse(train))) == learning


def test_auxiliary_heads_learn_only_with_what_is_below_them() -> None:
    blocks, head = (BlockSpec("stem", ("stem",)),), Head(("fc",), ("aux.fc",))
    assert list_trainable(blocks, head, TrainScope.parse("head")) == ("fc",)
    assert list_trainable(blocks, head, TrainScope.parse("all")) == ("stem", "fc", "aux.fc")


@pytest.mark.parametrize("name", ["layer", "layer10", "stem.0", "Stem"])
def test_an_unknown_block_is_an_error_that_lists_the_blocks(acme: BackboneSpec, name: str) -> None:
    blocks = list_blocks(acme, acme.build(None), HEAD)
    with pytest.raises(NameNotFound, match=r"stem, layer1, layer2, hidden"):
        list_trainable(blocks, HEAD, TrainScope("from", name))


def test_a_parameter_with_two_names_needs_both_in_a_block(acme: BackboneSpec) -> None:
    spec = replace(acme, head=("head",), blocks=(BlockSpec("one", ("one",)),))
    with pytest.raises(PluginError, match=r"two\.weight is in no block"):
        list_blocks(spec, Shared(), get_head(spec, Shared()))


@pytest.mark.parametrize(
    ("blocks", "message"),
    [
        ((("first", "one"), ("second", "two")), "two.weight is in first, and under another name in second"),
        ((("first", "two"), ("second", "one")), "two.weight is in second, and under another name in first"),
    ],
)
def test_a_parameter_with_two_names_has_both_in_the_same_block(
    acme: BackboneSpec, blocks: tuple[tuple[str, str], ...], message: str
) -> None:
    # Else --train could freeze it under one name and let it learn under the other.
    spec = replace(acme, head=("head",), blocks=tuple(BlockSpec(name, (path,)) for name, path in blocks))
    with pytest.raises(PluginError, match=f"acme/net declares its blocks wrongly: parameter {message}"):
        list_blocks(spec, Shared(), get_head(spec, Shared()))


def test_a_parameter_of_the_head_is_in_no_block_under_another_name(acme: BackboneSpec) -> None:
    spec = replace(acme, head=("two",), blocks=(BlockSpec("body", ("one", "head")),))
    with pytest.raises(PluginError, match=r"two\.weight is in body, and under another name in the head"):
        list_blocks(spec, Shared(), Head(("two",)))


def test_a_parameter_with_both_names_in_one_block_is_in_that_block(acme: BackboneSpec) -> None:
    spec = replace(acme, head=("head",), blocks=(BlockSpec("body", ("one", "two")),))
    model = Shared()
    blocks = list_blocks(spec, model, Head(("head",)))
    assert blocks == spec.blocks
    for train, learns in (("head", False), ("all", True)):
        Frozen(model, list_trainable(blocks, Head(("head",)), TrainScope.parse(train)))
        assert model.one.weight.requires_grad == learns


def test_order_of_blocks_is_the_order_in_which_more_and_more_is_frozen(acme: BackboneSpec) -> None:
    blocks = list_blocks(acme, acme.build(None), HEAD)
    sets = [set(list_trainable(blocks, HEAD, TrainScope("from", block.name))) for block in blocks]
    assert all(later < earlier for earlier, later in pairwise(sets))


def test_a_block_that_holds_nothing_is_the_plugins_fault(acme: BackboneSpec) -> None:
    model = acme.build(None)
    blocks = (*cast("tuple[BlockSpec, ...]", acme.blocks), BlockSpec("last", ("lst",)))
    with pytest.raises(PluginError, match="declares the block last, which holds nothing of its model"):
        list_blocks(replace(acme, blocks=blocks), model, get_head(acme, model))
