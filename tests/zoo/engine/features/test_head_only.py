from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from zoo.engine.features.head_only import split_head_only
from zoo.engine.features.tail import CannotSplit
from zoo.errors import NotFinite
from zoo.models.build import Network, attach_head
from zoo.models.freeze import Frozen
from zoo.models.weights.choose import WeightsSource
from zoo.plugin import BackboneSpec, BlockSpec

IMAGES = torch.randn(4, 3, 16, 16, generator=torch.Generator().manual_seed(5))


class Net(nn.Module):
    """A stem, and a function that each test puts between the stem and the heads."""

    def __init__(self, finish: Callable[[Net, Tensor], object]) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.AdaptiveAvgPool2d(2))
        self.other = nn.Linear(32, 10)
        self.drop = nn.Dropout(0.5)
        self.drop_channels = nn.Dropout2d(0.5)
        self.in_place = nn.Dropout(0.5, inplace=True)
        self.fc = nn.Linear(32, 10)
        self.finish = finish

    def forward(self, images: Tensor) -> object:
        return self.finish(self, self.stem(images))


def make_network(finish: Callable[[Net, Tensor], object], head: tuple[str, ...] = ("fc",)) -> tuple[Network, Frozen]:
    torch.manual_seed(0)
    frozen_heads = {"fc", "other"} - set(head)
    spec = BackboneSpec(
        name="acme/net",
        family="acme",
        build=lambda _tag: Net(finish),
        head=head,
        blocks=(BlockSpec("stem", ("stem", *sorted(frozen_heads))),),
        num_classes=10,
        params=1,
        license="MIT",
    )
    network = attach_head(spec, WeightsSource("none"), spec.build(None), "linear", 3)
    return network, Frozen(network.model, network.head.paths)


ACCEPTED = {
    "linear": lambda net, x: net.fc(x.flatten(1)),
    "dropout": lambda net, x: net.fc(net.drop(x).flatten(1)),
    "dropout of channels": lambda net, x: net.fc(net.drop_channels(x).flatten(1)),
    "dropout in place": lambda net, x: net.fc(net.in_place(x.flatten(1))),
    "two dropouts": lambda net, x: net.fc(net.drop(net.drop(x)).flatten(1)),
    "auxiliary logits": lambda net, x: (net.fc(x.flatten(1)), x.sum()) if net.training else net.fc(x.flatten(1)),
}


@pytest.mark.parametrize("name", ACCEPTED)
def test_the_head_alone_returns_the_logits_of_the_network_in_eval_and_train_mode(name: str) -> None:
    network, frozen = make_network(ACCEPTED[name])
    tail = split_head_only(network, frozen, IMAGES)
    features = tail.extract(network.model.eval(), IMAGES)
    assert features.shape == (4, 32) == (4, tail.width)
    torch.testing.assert_close(tail(features), network.model(IMAGES))
    frozen.train()
    torch.manual_seed(3)
    output = network.model(IMAGES)
    torch.manual_seed(3)
    wanted = output if isinstance(output, Tensor) else output[0]
    torch.testing.assert_close(tail(features.clone()), wanted)
    assert ("drop" in name) == (not torch.equal(tail(features.clone()), tail(features.clone())))


def test_the_logits_of_several_heads_are_averaged() -> None:
    def finish(net: Net, x: Tensor) -> Tensor:
        return (net.fc(net.drop(x.flatten(1))) + net.other(net.drop(x.flatten(1).exp()))) / 2

    network, frozen = make_network(finish, ("fc", "other"))
    tail = split_head_only(network, frozen, IMAGES)
    features = tail.extract(network.model.eval(), IMAGES)
    assert tail.width == 64
    torch.testing.assert_close(tail(features), network.model(IMAGES))


def test_the_tail_shares_its_parameters_with_the_network() -> None:
    network, frozen = make_network(ACCEPTED["linear"])
    tail = split_head_only(network, frozen, IMAGES)
    assert {id(p) for p in tail.parameters()} == {id(p) for p in network.model.parameters() if p.requires_grad}


def test_the_head_is_not_run_for_the_features() -> None:
    network, frozen = make_network(ACCEPTED["linear"])
    tail = split_head_only(network, frozen, IMAGES)
    ran = []
    network.model.get_submodule("fc").register_forward_hook(lambda *_: ran.append(1))
    tail.extract(network.model.eval(), IMAGES)
    assert not ran


def test_splitting_changes_no_random_state_and_no_hooks() -> None:
    network, frozen = make_network(ACCEPTED["dropout"])
    torch.manual_seed(11)
    wanted = torch.rand(3)
    torch.manual_seed(11)
    split_head_only(network, frozen, IMAGES)
    assert torch.equal(torch.rand(3), wanted)
    assert not any(module._forward_pre_hooks or module._forward_hooks for module in network.model.modules())


REFUSED = {
    "something after the head": (lambda net, x: net.fc(x.flatten(1)).relu() + 1, "returns different logits"),
    "pooling after the head": (lambda net, x: net.fc(x.flatten(2).mean(1, keepdim=True).repeat(1, 8, 8)).mean(1), None),
    "called twice": (lambda net, x: net.fc(x.flatten(1)) + net.fc(x.flatten(1)), "called 2 times per forward pass"),
    "never called": (lambda net, x: functional.linear(x.flatten(1), net.fc.weight, net.fc.bias), "called 0 times"),
    "functional dropout": (
        lambda net, x: net.fc(functional.dropout(x.flatten(1), 0.5, net.training)),
        "returns different logits",
    ),
    "random noise": (
        lambda net, x: net.fc(x.flatten(1) + net.training * torch.randn(len(x), 32)),
        "returns different logits",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_head_that_cannot_run_alone_is_refused(name: str) -> None:
    finish, reason = REFUSED[name]
    network, frozen = make_network(finish)
    with pytest.raises(CannotSplit, match=reason):
        split_head_only(network, frozen, IMAGES)


def test_a_backbone_that_does_not_support_it_is_refused_with_the_plugins_reason() -> None:
    network, frozen = make_network(ACCEPTED["linear"])
    backbone = replace(network.backbone, unsupported={"cached_features": "it is pooled afterwards"})
    with pytest.raises(CannotSplit, match="it is pooled afterwards"):
        split_head_only(replace(network, backbone=backbone), frozen, IMAGES)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_network_that_returns_nan_is_refused_before_the_first_step(value: float) -> None:
    network, frozen = make_network(lambda net, x: net.fc(x.flatten(1)) * value)
    with pytest.raises(NotFinite, match="returns NaN or infinite values before the first step"):
        split_head_only(network, frozen, IMAGES)


def test_a_head_with_parameters_outside_of_its_layers_cannot_run_on_its_own() -> None:
    network, frozen = make_network(lambda net, x: net.fc(x.flatten(1)))
    # The logits would be the same, because the parameter has no effect yet.
    network = replace(network, head=replace(network.head, parameters=("logit_scale",)))
    with pytest.raises(CannotSplit, match="the head has parameters outside of its layers: logit_scale"):
        split_head_only(network, frozen, IMAGES)
