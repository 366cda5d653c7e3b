"""The terms of a scope select parameters by block, path, type and property."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

import zoo
from freezing import HEAD, Shared
from zoo.errors import NameNotFound, OptionError
from zoo.models.blocks import list_blocks
from zoo.models.freeze import Frozen, digest_frozen
from zoo.models.freeze_module import freeze
from zoo.models.head import Head, is_below_any
from zoo.models.selection import Match, Selection, select
from zoo.plugin import BackboneSpec, BlockSpec
from zoo.registry.train_scope import TrainScope

NORMS = {"stem.1", "layer1.1", "layer2.1"}
CONVS = {"stem.0", "layer1.0", "layer2.0"}
LINEARS = {"classifier.0", "classifier.3"}


def choose(acme: BackboneSpec, train: str) -> tuple[nn.Module, Selection]:
    model = acme.build(None)
    return model, select(model, list_blocks(acme, model, HEAD), HEAD, TrainScope.parse(train))


def list_layers(model: nn.Module, selection: Selection) -> set[str]:
    """Return the layers all of whose parameters are selected."""
    names = [name for name, _ in model.named_parameters()]
    layers = {name.rpartition(".")[0] for name in names}
    return {
        layer for layer in layers
        if all(is_below_any(name, selection.trainable) for name in names if name.startswith(f"{layer}."))
    }  # fmt: skip


@pytest.mark.parametrize(
    ("train", "layers"),
    [
        ("norms", NORMS),
        ("head,norms", {*NORMS, "classifier.3"}),
        ("head,layer2", {"layer2.0", "layer2.1", "classifier.3"}),
        ("!stem", {*NORMS, *CONVS, *LINEARS} - {"stem.0", "stem.1"}),
        ("all,!norms", {*CONVS, *LINEARS}),
        ("from:layer2,!hidden", {"layer2.0", "layer2.1", "classifier.3"}),
        ("type:Conv2d,head", {*CONVS, "classifier.3"}),
        ("type:_BatchNorm,head", {*NORMS, "classifier.3"}),
        ("*.1", NORMS),
        ("layer?,!*.1", {"layer1.0", "layer2.0"}),
        ("layer2.0,head", {"layer2.0", "classifier.3"}),
        ("hidden,head", LINEARS),
        ("!type:Conv2d,!norms", LINEARS),
    ],
)
def test_terms_select_layers(acme: BackboneSpec, train: str, layers: set[str]) -> None:
    assert list_layers(*choose(acme, train)) == layers


def test_biases_and_single_parameters_are_selected(acme: BackboneSpec) -> None:
    model, selection = choose(acme, "biases,layer1.0.weight")
    Frozen(model, selection.trainable)
    trained = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    assert trained == {name for name, _ in model.named_parameters() if name.endswith("bias")} | {"layer1.0.weight"}


def test_counts_are_those_of_each_term(acme: BackboneSpec) -> None:
    _, selection = choose(acme, "head,*.1,!type:BatchNorm2d,layer1")
    assert selection.matches == (
        Match("head", 2, 130), Match("*.1", 6, 64), Match("!type:BatchNorm2d", 6, 64), Match("layer1", 4, 600)
    )  # fmt: skip


@pytest.mark.parametrize("last", ["layer2", "hidden", "stem"])
def test_listed_blocks_are_frozen_as_from_freezes_them(acme: BackboneSpec, last: str) -> None:
    names = ["stem", "layer1", "layer2", "hidden"]
    listed = ",".join(["head", *names[names.index(last) :]])
    states = []
    for train in (listed, f"from:{last}"):
        model, selection = choose(acme, train)
        Frozen(model, selection.trainable, active=selection.active).train()
        modes = [(name, module.training) for name, module in model.named_modules()]
        tensors = [*dict(model.named_parameters()), *dict(model.named_buffers())]
        frozen = [name for name in tensors if not is_below_any(name, selection.trainable)]
        states.append((modes, frozen, [p.requires_grad for p in model.parameters()]))
    assert states[0] == states[1]


@pytest.mark.parametrize(
    ("train", "message"),
    [
        ("head,layer9", r"nothing matches 'layer9'; the blocks are stem, layer1, layer2, hidden; the modules are stem"),
        ("head,layer22", "did you mean layer2"),
        ("!*.bn1", r"nothing matches '\*\.bn1'"),
        ("type:Conv3d", "the classes of modules are AdaptiveAvgPool2d, BatchNorm2d, Conv2d, Dropout, Flatten, Linear"),
        ("head,from:layer9", "no block 'layer9'; the blocks from input to output are stem"),
        ("type:ReLU,head", "nothing matches 'type:ReLU'"),
    ],
)
def test_a_term_that_matches_nothing_lists_what_exists(acme: BackboneSpec, train: str, message: str) -> None:
    with pytest.raises(NameNotFound, match=message):
        choose(acme, train)


def test_a_scope_that_leaves_nothing_is_refused(acme: BackboneSpec) -> None:
    with pytest.raises(OptionError, match=r"`train` head,!all leaves nothing to train"):
        choose(acme, "head,!all")


def run_steps(model: nn.Module, frozen: Frozen, selection: Selection) -> set[str]:
    """Train for a few steps; return the tensors that changed, and require that the frozen ones did not."""
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    digest = digest_frozen(model, selection.trainable)
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], 0.1)
    for _ in range(3):
        frozen.train()
        optimizer.zero_grad()
        model(torch.randn(4, 3, 16, 16)).square().sum().backward()
        optimizer.step()
    assert frozen.check(digest) == digest
    return {name for name, tensor in model.state_dict().items() if not torch.equal(tensor, before[name])}


@pytest.mark.parametrize(
    "train", ["norms", "head,layer1", "biases", "all,!norms", "!layer1", "type:Conv2d", "layer1.1.weight,head"]
)
def test_exactly_the_selected_tensors_change(acme: BackboneSpec, train: str) -> None:
    torch.manual_seed(0)  # A bias before a batch norm changes only by rounding errors, which can be 0.
    model, selection = choose(acme, train)
    frozen = Frozen(model, selection.trainable, active=selection.active)
    trained = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    changed = run_steps(model, frozen, selection)
    assert trained <= changed | {"classifier.0.bias"}  # a hidden unit may be dead
    assert all(is_below_any(name, selection.trainable) for name in changed)


def test_a_norm_keeps_its_statistics_if_its_parameters_are_frozen_and_only_then(acme: BackboneSpec) -> None:
    for train, is_training in (("all,!norms", False), ("norms", True), ("biases", True), ("head,layer2.0", False)):
        model, selection = choose(acme, train)
        Frozen(model, selection.trainable, active=selection.active).train()
        assert {model.get_submodule(path).training for path in NORMS} == {is_training}, train


def test_dropout_is_off_before_the_first_trained_layer_and_on_after_it(acme: BackboneSpec) -> None:
    model, selection = choose(acme, "layer1.0,head")
    Frozen(model, selection.trainable, active=selection.active).train()
    dropouts = ("stem.3", "layer1.3", "classifier.2")
    assert [model.get_submodule(path).training for path in dropouts] == [False, True, True]
    assert not model.get_submodule("layer2.3").training  # it is in a frozen block


class Bare(nn.Module):
    """A network with a batch norm without parameters, and a parameter of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.token = nn.Parameter(torch.ones(4))
        self.norm = nn.BatchNorm1d(4, affine=False)
        self.scale = nn.Parameter(torch.ones(4))
        self.fc = nn.Linear(4, 2)

    def forward(self, values: Tensor) -> Tensor:
        logits: Tensor = self.fc(self.norm(values * self.scale) * self.token)
        return logits


def test_statistics_without_parameters_change_only_if_they_are_selected() -> None:
    for train, is_training in (("head,token", False), ("head,norm", True), ("head,norms", True)):
        model = Bare()
        freeze(model, train)
        assert model.norm.training == is_training, train


def test_a_shared_parameter_is_trained_under_all_of_its_names() -> None:
    model = Shared()
    selection = select(
        model, (BlockSpec("both", ("one", "two")),), Head(("head",)), TrainScope.parse("two.weight,head")
    )
    Frozen(model, selection.trainable)
    assert is_below_any("one.weight", selection.trainable)
    assert is_below_any("two.weight", selection.trainable)
    assert model.one.weight.requires_grad
    assert not model.one.bias.requires_grad


def test_a_plain_module_is_frozen_by_name_and_type(acme: BackboneSpec) -> None:
    model = acme.build(None)
    frozen = zoo.freeze(model, "head,layer2,!type:BatchNorm2d")
    trained = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    assert trained == {"layer2.0.weight", "layer2.0.bias", "classifier.3.weight", "classifier.3.bias"}
    model.train()
    frozen.train()
    assert not any(model.get_submodule(path).training for path in NORMS)
    assert repr(frozen) == "Frozen(1,298 of 2,374 parameters are trainable)"
    zoo.freeze(model, "head", head="classifier.0")
    assert [name for name, p in model.named_parameters() if p.requires_grad] == [
        "classifier.0.weight",
        "classifier.0.bias",
    ]


def test_the_scope_and_head_of_a_plain_module_must_exist(acme: BackboneSpec) -> None:
    model = acme.build(None)
    with pytest.raises(OptionError, match="`train` gradual is a sequence of phases"):
        freeze(model, "gradual")
    with pytest.raises(NameNotFound, match="no module 'fc'"):
        freeze(model, "head", head="fc")
    with pytest.raises(NameNotFound, match="nothing matches 'head'"):
        freeze(nn.Sequential(nn.BatchNorm1d(3)), "head,norms")
