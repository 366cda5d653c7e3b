"""Parameters that upstream builds with ``requires_grad=False`` are never trained, whatever is selected."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import zoo
from masked import FIXED, make_masked, make_masked_registry
from zoo.errors import OptionError, PluginError
from zoo.models.blocks import list_blocks
from zoo.models.build import Network, attach_head, build_model
from zoo.models.freeze import Frozen, digest_frozen
from zoo.models.selection import Match, Selection, select
from zoo.models.untrained import describe_parameters, list_below
from zoo.models.weights.choose import WeightsSource
from zoo.plugin import BackboneSpec
from zoo.registry.train_scope import TrainScope

SCOPES = ["head", "from:layer1", "all", "norms", "layer1,head", "all,!biases", "*"]


def build(spec: BackboneSpec | None = None) -> Network:
    spec = spec or make_masked()
    return attach_head(spec, WeightsSource("none"), build_model(spec, None), "linear", 2)


def choose(network: Network, train: str) -> Selection:
    blocks = list_blocks(network.backbone, network.model, network.head)
    return select(network.model, blocks, network.head, TrainScope.parse(train), network.untrained)


def freeze(network: Network, train: str) -> Frozen:
    selection = choose(network, train)
    return Frozen(network.model, selection.trainable, active=selection.active, untrained=network.untrained)


def list_training(model: nn.Module) -> set[str]:
    return {name for name, module in model.named_modules() if module.training}


def test_the_built_model_says_what_is_fixed_even_if_nothing_is_declared() -> None:
    network = build(make_masked(fixed=(), unused=()))
    assert (network.fixed, network.unused) == (frozenset(FIXED), frozenset())


def test_the_new_head_of_a_network_whose_head_is_fixed_is_trained() -> None:
    def build_fixed(tag: str | None) -> nn.Module:
        model = make_masked().build(tag)
        model.get_submodule("fc").requires_grad_(requires_grad=False)
        return model

    network = build(make_masked(build=build_fixed))
    assert network.fixed == frozenset(FIXED)


@pytest.mark.parametrize("train", SCOPES)
def test_constants_and_unused_parameters_never_require_gradients(train: str) -> None:
    network = build()
    freeze(network, "all")
    freeze(network, train)
    trained = {name for name, parameter in network.model.named_parameters() if parameter.requires_grad}
    assert trained
    assert not trained & {*FIXED, "token"}


@pytest.mark.parametrize("train", ["head", "fc.*"])
def test_a_scope_of_parameters_that_are_never_trained_is_refused(train: str) -> None:
    network = build(make_masked(unused=("fc",)))
    with pytest.raises(OptionError, match=r"selects only parameters that are never trained \(fc.bias, fc.weight\)"):
        choose(network, train)


def test_everything_else_is_trained_with_all() -> None:
    network = build()
    frozen = freeze(network, "all")
    trained = {name for name, parameter in network.model.named_parameters() if parameter.requires_grad}
    assert trained == dict(network.model.named_parameters()).keys() - {*FIXED, "token"}
    assert repr(frozen) == "Frozen(842 of 1,490 parameters are trainable)"


@pytest.mark.parametrize("train", ["all", "from:layer1", "layer1,head"])
def test_a_constant_does_not_put_the_modules_of_a_trained_block_into_eval_mode(train: str) -> None:
    network = build()
    freeze(network, train).train()
    assert {"layer1", "layer1.1", "layer1.3"} <= list_training(network.model)


def test_a_batch_norm_with_constant_scales_keeps_the_mode_of_its_block() -> None:
    def build_constant_norm(tag: str | None) -> nn.Module:
        model = make_masked().build(tag)
        model.get_submodule("layer1.1").requires_grad_(requires_grad=False)
        return model

    network = build(make_masked(build=build_constant_norm, fixed=(*FIXED, "layer1.1")))
    freeze(network, "all").train()
    assert "layer1.1" in list_training(network.model)
    freeze(network, "head").train()
    assert "layer1.1" not in list_training(network.model)


def test_a_frozen_block_of_constants_only_is_in_eval_mode() -> None:
    model = nn.Sequential(nn.Sequential(nn.BatchNorm1d(2), nn.Dropout()), nn.Linear(2, 2))
    model[0].requires_grad_(requires_grad=False)
    Frozen(model, ("1",), untrained=frozenset({"0.0.weight", "0.0.bias"})).train()
    assert list_training(model) == {"", "1"}


@pytest.mark.parametrize("train", SCOPES)
def test_constants_are_part_of_the_digest(train: str) -> None:
    network = build()
    frozen, selection = freeze(network, train), choose(network, train)
    for name in (*FIXED, "token"):
        before = frozen.digest()
        assert before == digest_frozen(network.model, selection.trainable, network.untrained)
        with torch.no_grad():
            network.model.get_parameter(name).view(-1)[0] += 1
        assert frozen.digest() != before, name


@pytest.mark.parametrize("train", ["all", "layer1,head"])
def test_freezing_a_module_that_zoo_built_never_trains_its_constants(train: str) -> None:
    model = zoo.build("net", weights="none", num_classes=2, registry=make_masked_registry())
    for scope in ("head", train):
        zoo.freeze(model, scope)
        trained = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
        assert trained
        assert not trained & {*FIXED}
    assert "layer1.0.weight" in trained


def test_freezing_any_other_module_trains_what_is_selected() -> None:
    model = make_masked().build(None)
    zoo.freeze(model, "all")
    assert all(parameter.requires_grad for parameter in model.parameters())
    zoo.freeze(model, "all,!*.mask,!positions")
    assert {name for name, parameter in model.named_parameters() if not parameter.requires_grad} == {*FIXED}


def test_an_integer_constant_can_be_frozen_again() -> None:
    def build_integers(tag: str | None) -> nn.Module:
        model = make_masked().build(tag)
        model.index = nn.Parameter(torch.arange(3), requires_grad=False)
        return model

    spec = make_masked()
    first = spec.blocks[0]  # type: ignore[index]  # it is a tuple
    network = build(make_masked(build=build_integers, blocks=(type(first)("stem", (*first.prefixes, "index")),)))
    Frozen(network.model, ("index", "stem"), untrained=network.untrained)


def test_terms_count_only_what_is_trained() -> None:
    assert choose(build(), "layer1,head").matches == (Match("layer1", 4, 600), Match("head", 2, 18))


def test_a_term_that_selects_only_constants_is_refused() -> None:
    with pytest.raises(OptionError, match=r"`train` \*\.mask selects only parameters that are never trained"):
        choose(build(), "*.mask")


def test_a_shared_parameter_is_matched_under_any_of_its_names() -> None:
    model = nn.ModuleDict({"one": nn.Linear(2, 2), "two": nn.Linear(2, 2), "three": nn.Linear(2, 2)})
    model["two"].weight = model["one"].weight
    assert list_below(model, ("two.weight",)) == {"one.weight", "two.weight"}


@pytest.mark.parametrize("returned", [["token"], "token", (1,), None])
def test_a_function_that_does_not_return_prefixes_is_refused(returned: object) -> None:
    with pytest.raises(PluginError, match=r"unused\(\) .* of acme/net returned .*; it must return a tuple of prefixes"):
        build(make_masked(unused=lambda _model: returned))


def test_a_function_lists_the_unused_parameters_of_the_built_model() -> None:
    spec = make_masked(unused=lambda model: tuple(name for name, _ in model.named_parameters() if "token" in name))
    assert build(spec).unused == {"token"}


def test_a_function_that_fails_is_named_with_its_place() -> None:
    def fail(_model: nn.Module) -> tuple[str, ...]:
        raise ValueError("no layers")

    with pytest.raises(PluginError, match="acme/net cannot list its unused parameters: ValueError: no layers"):
        build(make_masked(unused=fail))


def test_parameters_are_described_with_their_first_names() -> None:
    layers = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 4))
    assert describe_parameters({"one": layers[0].weight}) == "6 parameters in 1 tensor (one)"
    listed = "25 parameters in 4 tensors (0.weight, 0.bias, 1.weight, ...)"
    assert describe_parameters(dict(layers.named_parameters())) == listed
