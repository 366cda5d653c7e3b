from __future__ import annotations

import copy
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from typing import cast

import pytest
import torch
from torch import nn

from zoo.errors import FrozenMoved, NameNotFound, OptionError, PluginError
from zoo.freeze import Frozen, list_batch_norms, list_blocks, list_learning
from zoo.head import Head, find_head, replace_head
from zoo.plugin import BackboneSpec, BlockSpec
from zoo.recipe import HeadDesign

HEAD = Head(("classifier.3",))


def freeze(acme: BackboneSpec, train: str = "head") -> tuple[nn.Module, Frozen]:
    torch.manual_seed(0)
    model = acme.build(None)
    learning = list_learning(list_blocks(acme, model, HEAD), HEAD, train)
    return model, Frozen(model, learning)


def take_steps(model: nn.Module, frozen: Frozen, count: int = 3) -> None:
    generator = torch.Generator().manual_seed(1)
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.5, weight_decay=0.1)
    for _ in range(count):
        model.train()  # as any code may call it
        frozen.train()
        images = torch.randn(4, 3, 16, 16, generator=generator) * 3 + 1
        optimizer.zero_grad()
        model(images).square().sum().backward()
        optimizer.step()


def tensors_of(model: nn.Module) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def list_training(model: nn.Module) -> set[str]:
    return {name for name, module in model.named_modules() if module.training}


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
    learning = list_learning(list_blocks(spec, model, Head(("fc",))), Head(("fc",)), "from:rest")
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
    assert set(list_learning(list_blocks(acme, acme.build(None), HEAD), HEAD, train)) == learning


def test_auxiliary_heads_learn_only_with_what_is_below_them() -> None:
    blocks, head = (BlockSpec("stem", ("stem",)),), Head(("fc",), ("aux.fc",))
    assert list_learning(blocks, head, "head") == ("fc",)
    assert list_learning(blocks, head, "all") == ("stem", "fc", "aux.fc")


@pytest.mark.parametrize(
    ("train", "kind"),
    [("nothing", OptionError), ("", OptionError), ("heads", OptionError), ("to:stem", OptionError)]
    + [(f"from:{name}", NameNotFound) for name in ("", "layer", "layer10", "stem.0", "Stem")],
)
def test_an_unknown_train_is_an_error_that_lists_the_blocks(
    acme: BackboneSpec, train: str, kind: type[Exception]
) -> None:
    blocks = list_blocks(acme, acme.build(None), HEAD)
    with pytest.raises(kind, match=r"stem, layer1, layer2, hidden"):
        list_learning(blocks, HEAD, train)


@pytest.mark.parametrize("train", ["all ", "all:stem", "head:stem"])
def test_a_train_with_something_behind_it_is_an_error(acme: BackboneSpec, train: str) -> None:
    blocks = list_blocks(acme, acme.build(None), HEAD)
    with pytest.raises(OptionError, match="all or from:BLOCK"):
        list_learning(blocks, HEAD, train)


@pytest.mark.parametrize("train", ["head", "from:hidden", "from:layer2", "all"])
def test_exactly_what_learns_wants_gradients(acme: BackboneSpec, train: str) -> None:
    model, _ = freeze(acme, train)
    learning = list_learning(list_blocks(acme, model, HEAD), HEAD, train)
    for name, parameter in model.named_parameters():
        assert parameter.requires_grad == name.startswith(tuple(f"{prefix}." for prefix in learning)), name


def test_freezing_anew_thaws_what_learns_now(acme: BackboneSpec) -> None:
    model, _ = freeze(acme, "head")
    Frozen(model, ("stem", "layer1", "layer2", "classifier"))
    assert all(parameter.requires_grad for parameter in model.parameters())


@pytest.mark.parametrize("train", ["head", "from:hidden", "from:layer2", "from:layer1"])
def test_frozen_parameters_and_statistics_stay_bit_equal_over_steps_and_the_rest_moves(
    acme: BackboneSpec, train: str
) -> None:
    model, frozen = freeze(acme, train)
    before, digest = tensors_of(model), frozen.digest()
    take_steps(model, frozen)
    learning = list_learning(list_blocks(acme, model, HEAD), HEAD, train)
    for name, tensor in model.state_dict().items():
        learns = name.startswith(tuple(f"{prefix}." for prefix in learning))
        assert torch.equal(tensor, before[name]) != learns, name
    assert frozen.check(digest) == digest


def test_without_the_eval_mode_the_statistics_would_move(acme: BackboneSpec) -> None:
    model, frozen = freeze(acme)
    digest = frozen.digest()
    model.train()
    model(torch.rand(4, 3, 16, 16))
    with pytest.raises(FrozenMoved, match="frozen parameter or buffer changed"):
        frozen.check(digest)


@pytest.mark.parametrize(
    ("train", "training"),
    [
        # Containers that also hold what learns train; what comes after the last frozen layer does too.
        ("head", {"", "classifier", "classifier.1", "classifier.2", "classifier.3"}),
        ("from:hidden", {"", "pool", "flatten", "classifier", *(f"classifier.{n}" for n in range(4))}),
    ],
)
def test_dropouts_are_off_between_frozen_layers_and_on_after_them(
    acme: BackboneSpec, train: str, training: set[str]
) -> None:
    model, frozen = freeze(acme, train)
    frozen.train()
    assert list_training(model) == training


def test_with_all_learning_everything_trains(acme: BackboneSpec) -> None:
    model, frozen = freeze(acme, "all")
    model.eval()
    frozen.train()
    assert list_training(model) == {name for name, _ in model.named_modules()}


def test_a_buffer_that_nothing_moves_keeps_no_dropout_from_dropping_where_all_learns() -> None:
    angles = nn.Module()
    angles.register_buffer("angles", torch.ones(2))
    model = nn.Sequential(OrderedDict(embed=nn.Linear(2, 2), drop=nn.Dropout(0.5), rope=angles, fc=nn.Linear(2, 2)))
    Frozen(model, ("embed", "fc")).train()
    assert all(module.training for module in model.modules())
    Frozen(model, ("fc",)).train()
    assert not model.get_submodule("drop").training


def test_still_modules_learn_in_eval_mode(acme: BackboneSpec) -> None:
    model = acme.build(None)
    norms = list_batch_norms(model)
    frozen = Frozen(model, ("stem", "layer1", "layer2", "classifier"), still=norms)
    frozen.train()
    assert len(norms) == 3
    assert not any(norm.training for norm in norms)
    assert all(parameter.requires_grad for parameter in model.parameters())


@pytest.mark.parametrize("norm", [nn.BatchNorm1d(2), nn.BatchNorm2d(2), nn.SyncBatchNorm(2)])
def test_batch_norms_are_found_and_other_norms_are_not(norm: nn.Module) -> None:
    model = nn.Sequential(norm, nn.LayerNorm(2), nn.GroupNorm(1, 2))
    assert list_batch_norms(model) == [norm]


def test_freezing_and_training_never_change_the_type_of_a_module(acme: BackboneSpec) -> None:
    before = [(name, type(module)) for name, module in acme.build(None).named_modules()]
    model, frozen = freeze(acme)
    take_steps(model, frozen, count=1)
    assert [(name, type(module)) for name, module in model.named_modules()] == before


def change(path: str, function: Callable[[torch.Tensor], object]) -> Callable[[nn.Module], object]:
    return lambda model: function(model.state_dict(keep_vars=True)[path].data)


def rename_stem(model: nn.Module) -> None:
    model.trunk = model.stem
    del model.stem


def put_in_a_buffer(model: nn.Module) -> None:
    model.get_submodule("layer1").register_buffer("new", torch.zeros(()))


def make_double(model: nn.Module) -> None:
    norm = model.get_submodule("stem.1")
    norm.running_mean = norm.running_mean.double()


def make_float(model: nn.Module) -> None:
    norm = model.get_submodule("layer1.1")
    norm.num_batches_tracked = norm.num_batches_tracked.double()  # zero: the same bytes


def make_flat(model: nn.Module) -> None:
    layer = model.get_submodule("classifier.0")
    layer.weight = nn.Parameter(layer.weight.detach().reshape(16, 12), requires_grad=False)


@pytest.mark.parametrize(
    "move",
    [
        change("stem.0.weight", lambda tensor: tensor[0, 0, 0, 0].add_(1e-6)),
        change("classifier.0.bias", lambda tensor: tensor.neg_()),
        change("layer2.1.running_var", lambda tensor: tensor[3].mul_(1.001)),
        change("layer1.1.num_batches_tracked", lambda tensor: tensor.add_(1)),
        change("layer1.1.weight", lambda tensor: tensor[0].fill_(float("nan"))),
        rename_stem,
        put_in_a_buffer,
        make_double,
        make_float,
        make_flat,
    ],
)
def test_the_digest_changes_with_whatever_is_frozen(acme: BackboneSpec, move: Callable[[nn.Module], object]) -> None:
    model, frozen = freeze(acme)
    before = frozen.digest()
    move(model)
    with pytest.raises(FrozenMoved):
        frozen.check(before)


def test_the_digest_sees_a_buffer_that_no_file_holds(acme: BackboneSpec) -> None:
    model, _ = freeze(acme)
    model.get_submodule("stem").register_buffer("hidden", torch.zeros(2), persistent=False)
    frozen = Frozen(model, ("classifier.3",))
    before = frozen.digest()
    model.get_submodule("stem").hidden.add_(1)
    assert frozen.digest() != before


def test_the_digest_does_not_change_with_the_head(acme: BackboneSpec) -> None:
    model, frozen = freeze(acme)
    before = frozen.digest()
    replace_head(acme, model, 3, HeadDesign())
    assert frozen.check(before) == before


def test_the_digest_does_not_depend_on_memory_format_or_the_order_of_layers(acme: BackboneSpec) -> None:
    model, frozen = freeze(acme)
    before = frozen.digest()
    model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    assert not model.get_submodule("stem.0").weight.is_contiguous()
    assert frozen.digest() == before
    stem = model.stem
    del model.stem
    model.stem = stem  # the last one now
    assert frozen.digest() == before


def test_equal_models_have_equal_digests_and_others_have_others(acme: BackboneSpec) -> None:
    model, frozen = freeze(acme)
    twin = Frozen(copy.deepcopy(model), ("classifier.3",))
    other = Frozen(acme.build(None), ("classifier.3",))
    assert len(frozen.digest()) == 64
    assert frozen.digest() == twin.digest() != other.digest()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_any_dtype_has_a_digest(acme: BackboneSpec, dtype: torch.dtype) -> None:
    model, frozen = freeze(acme)
    before = frozen.digest()
    model.to(dtype)
    assert frozen.digest() != before


class Shared(nn.Module):
    """One layer under two names."""

    def __init__(self) -> None:
        super().__init__()
        self.one = nn.Linear(3, 3)
        self.two = self.one
        self.head = nn.Linear(3, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.head(self.two(self.one(x)))
        return logits


def test_a_parameter_with_two_names_needs_both_in_a_block(acme: BackboneSpec) -> None:
    spec = replace(acme, head=("head",), blocks=(BlockSpec("one", ("one",)),))
    with pytest.raises(PluginError, match=r"two\.weight is in no block"):
        list_blocks(spec, Shared(), find_head(spec, Shared()))


def test_a_shared_layer_is_frozen_and_fingerprinted_under_both_names() -> None:
    model = Shared()
    frozen = Frozen(model, ("head",))
    before = frozen.digest()
    take = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.1)
    model(torch.rand(2, 3)).sum().backward()
    take.step()
    assert not model.one.weight.requires_grad
    assert frozen.check(before) == before
    model.two = nn.Linear(3, 3).requires_grad_(False)
    model.two.load_state_dict(model.one.state_dict())
    assert frozen.digest() == before  # the same values under the same names
    nn.init.ones_(model.two.weight)
    assert frozen.digest() != before


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
        list_blocks(spec, Shared(), find_head(spec, Shared()))


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
        Frozen(model, list_learning(blocks, Head(("head",)), train))
        assert model.one.weight.requires_grad == learns


def test_order_of_blocks_is_the_order_in_which_more_and_more_is_frozen(acme: BackboneSpec) -> None:
    blocks = list_blocks(acme, acme.build(None), HEAD)
    sets = [set(list_learning(blocks, HEAD, f"from:{block.name}")) for block in blocks]
    assert all(later < earlier for earlier, later in pairwise(sets))


def test_a_block_that_holds_nothing_is_the_plugins_fault(acme: BackboneSpec) -> None:
    model = acme.build(None)
    blocks = (*cast("tuple[BlockSpec, ...]", acme.blocks), BlockSpec("last", ("lst",)))
    with pytest.raises(PluginError, match="declares the block last, which holds nothing of its model"):
        list_blocks(replace(acme, blocks=blocks), model, find_head(acme, model))
