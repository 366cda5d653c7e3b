"""Which parameters are in which block, and which blocks are trainable."""

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


def test_blocks_are_in_the_declared_order(acme: BackboneSpec) -> None:
    blocks = list_blocks(acme, acme.build(None), HEAD)
    assert [block.name for block in blocks] == ["stem", "layer1", "layer2", "hidden"]


def test_layers_that_a_new_head_replaces_are_in_no_block(acme: BackboneSpec) -> None:
    model = acme.build(None)
    head = replace_head(acme, model, 2, HeadDesign((5,)))
    assert [block.name for block in list_blocks(acme, model, head)] == ["stem", "layer1", "layer2"]


def test_blocks_can_be_found_by_a_function(acme: BackboneSpec) -> None:
    blocks = tuple(acme.blocks) if not callable(acme.blocks) else ()
    spec = replace(acme, blocks=lambda _model: blocks)
    assert list_blocks(spec, acme.build(None), HEAD) == blocks


@pytest.mark.parametrize(
    ("blocks", "message"),
    [
        ((("stem", "stem"), ("rest", "layer2 classifier.0")), r"layer1\.0\.weight is in neither a block nor a head"),
        (
            (("stem", "stem"), ("one", "layer1"), ("rest", "layer1.0 layer2 classifier.0")),
            r"layer1\.0\.weight is in one and rest",
        ),
        ((("all", "stem layer1 layer2 classifier"),), r"classifier\.3\.weight is in all and the head"),
        (
            (("all", "stem layer layer2 classifier.0"),),
            r"layer1\.0\.weight is in neither",
        ),  # not layer1
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


def test_layer1_is_not_a_prefix_of_layer10(acme: BackboneSpec) -> None:
    model, head = ManyLayers(), Head(("fc",))
    wrong = replace(acme, head=("fc",), blocks=(BlockSpec("one", ("layer1", "token")),))
    with pytest.raises(PluginError, match=r"layer10\.weight is in neither"):
        list_blocks(wrong, model, head)
    Frozen(model, ("layer1", "fc"))
    assert [name for name, p in model.named_parameters() if p.requires_grad] == [
        "layer1.weight", "layer1.bias", "fc.weight", "fc.bias"
    ]  # fmt: skip


def test_a_parameter_outside_of_submodules_can_be_a_block(acme: BackboneSpec) -> None:
    blocks = (BlockSpec("token", ("token",)), BlockSpec("rest", ("layer1", "layer10")))
    spec, model = replace(acme, head=("fc",), blocks=blocks), ManyLayers()
    trainable = list_trainable(list_blocks(spec, model, Head(("fc",))), Head(("fc",)), TrainScope.parse("from:rest"))
    Frozen(model, trainable)
    assert [name for name, p in model.named_parameters() if not p.requires_grad] == ["token"]


@pytest.mark.parametrize(
    ("train", "trainable"),
    [
        ("head", {"classifier.3"}),
        ("from:hidden", {"classifier.0", "classifier.3"}),
        ("from:layer1", {"layer1", "layer2", "classifier.0", "classifier.3"}),
        ("from:stem", {"stem", "layer1", "layer2", "classifier.0", "classifier.3"}),
        ("all", {"stem", "layer1", "layer2", "classifier.0", "classifier.3"}),
    ],
)
def test_the_scope_determines_the_trainable_prefixes(acme: BackboneSpec, train: str, trainable: set[str]) -> None:
    assert set(list_trainable(list_blocks(acme, acme.build(None), HEAD), HEAD, TrainScope.parse(train))) == trainable


def test_auxiliary_heads_are_trainable_only_with_the_layers_below_them() -> None:
    blocks, head = (BlockSpec("stem", ("stem",)),), Head(("fc",), ("aux.fc",))
    assert list_trainable(blocks, head, TrainScope.parse("head")) == ("fc",)
    assert list_trainable(blocks, head, TrainScope.parse("all")) == ("stem", "fc", "aux.fc")


@pytest.mark.parametrize("name", ["layer", "layer10", "stem.0", "Stem"])
def test_an_unknown_block_is_an_error_that_lists_the_blocks(acme: BackboneSpec, name: str) -> None:
    blocks = list_blocks(acme, acme.build(None), HEAD)
    with pytest.raises(NameNotFound, match=r"stem, layer1, layer2, hidden"):
        list_trainable(blocks, HEAD, TrainScope("from", name))


def test_both_names_of_a_parameter_must_be_in_a_block(acme: BackboneSpec) -> None:
    spec = replace(acme, head=("head",), blocks=(BlockSpec("one", ("one",)),))
    with pytest.raises(PluginError, match=r"two\.weight is in neither"):
        list_blocks(spec, Shared(), get_head(spec, Shared()))


@pytest.mark.parametrize(
    ("blocks", "message"),
    [
        ((("first", "one"), ("second", "two")), "two.weight is in first, and under another name in second"),
        ((("first", "two"), ("second", "one")), "two.weight is in second, and under another name in first"),
    ],
)
def test_both_names_of_a_parameter_must_be_in_the_same_block(
    acme: BackboneSpec, blocks: tuple[tuple[str, str], ...], message: str
) -> None:
    # Otherwise a scope could freeze it under one name and train it under the other.
    spec = replace(acme, head=("head",), blocks=tuple(BlockSpec(name, (path,)) for name, path in blocks))
    with pytest.raises(PluginError, match=f"acme/net declares its blocks incorrectly: parameter {message}"):
        list_blocks(spec, Shared(), get_head(spec, Shared()))


def test_a_parameter_of_the_head_in_a_block_under_another_name_is_an_error(acme: BackboneSpec) -> None:
    spec = replace(acme, head=("two",), blocks=(BlockSpec("body", ("one", "head")),))
    with pytest.raises(PluginError, match=r"two\.weight is in body, and under another name in the head"):
        list_blocks(spec, Shared(), Head(("two",)))


def test_a_parameter_with_both_names_in_one_block_belongs_to_that_block(acme: BackboneSpec) -> None:
    spec = replace(acme, head=("head",), blocks=(BlockSpec("body", ("one", "two")),))
    model = Shared()
    blocks = list_blocks(spec, model, Head(("head",)))
    assert blocks == spec.blocks
    for train, is_trainable in (("head", False), ("all", True)):
        Frozen(model, list_trainable(blocks, Head(("head",)), TrainScope.parse(train)))
        assert model.one.weight.requires_grad == is_trainable


def test_starting_from_a_later_block_trains_less(acme: BackboneSpec) -> None:
    blocks = list_blocks(acme, acme.build(None), HEAD)
    sets = [set(list_trainable(blocks, HEAD, TrainScope("from", block.name))) for block in blocks]
    assert all(later < earlier for earlier, later in pairwise(sets))


def test_a_block_that_matches_nothing_is_a_plugin_error(acme: BackboneSpec) -> None:
    model = acme.build(None)
    blocks = (*cast("tuple[BlockSpec, ...]", acme.blocks), BlockSpec("last", ("lst",)))
    with pytest.raises(PluginError, match="declares the block last, which matches no parameter or buffer of its model"):
        list_blocks(replace(acme, blocks=blocks), model, get_head(acme, model))
