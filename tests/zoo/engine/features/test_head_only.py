from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from zoo.engine.features.head_only import split_head_only
from zoo.engine.features.tail import CannotSplit
from zoo.models.build import Network, attach_head
from zoo.models.freeze import Frozen
from zoo.models.weights.choose import WeightsSource
from zoo.plugin import BackboneSpec, BlockSpec

IMAGES = torch.randn(4, 3, 16, 16, generator=torch.Generator().manual_seed(5))


class Net(nn.Module):
    """A stem, and whatever a test puts between its features and its heads."""

    def __init__(self, finish: Callable[[Net, Tensor], object]) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.AdaptiveAvgPool2d(2))
        self.other = nn.Linear(32, 10)
        self.drop = nn.Dropout(0.5)
        self.in_place = nn.Dropout(0.5, inplace=True)
        self.fc = nn.Linear(32, 10)
        self.finish = finish

    def forward(self, images: Tensor) -> object:
        return self.finish(self, self.stem(images))


def make_network(finish: Callable[[Net, Tensor], object], head: tuple[str, ...] = ("fc",)) -> tuple[Network, Frozen]:
    torch.manual_seed(0)
    rest = {"fc", "other"} - set(head)
    spec = BackboneSpec(
        name="acme/net",
        family="acme",
        build=lambda _tag: Net(finish),
        head=head,
        blocks=(BlockSpec("stem", ("stem", *sorted(rest))),),
        num_classes=10,
        params=1,
        license="MIT",
    )
    network = attach_head(spec, WeightsSource("none"), spec.build(None), "linear", 3)
    return network, Frozen(network.model, network.head.paths)


ALIKE = {
    "linear": lambda net, x: net.fc(x.flatten(1)),
    "module that drops": lambda net, x: net.fc(net.drop(x).flatten(1)),
    "function that drops": lambda net, x: net.fc(functional.dropout(x.flatten(1), 0.5, net.training)),
    "drops whole channels": lambda net, x: net.fc(functional.dropout2d(x, 0.5, net.training).flatten(1)),
    "drops in place": lambda net, x: net.fc(net.in_place(x.flatten(1))),
    "drops twice": lambda net, x: net.fc(net.drop(net.drop(x)).flatten(1)),
    "auxiliary logits": lambda net, x: (net.fc(x.flatten(1)), x.sum()) if net.training else net.fc(x.flatten(1)),
}


@pytest.mark.parametrize("name", ALIKE)
def test_the_head_alone_gives_the_networks_logits_while_it_is_measured_and_while_it_learns(name: str) -> None:
    network, frozen = make_network(ALIKE[name])
    replay = split_head_only(network, frozen, IMAGES)
    features = replay.take(network.model.eval(), IMAGES)
    assert features.shape == (4, 32) == (4, replay.width)
    torch.testing.assert_close(replay(features), network.model(IMAGES))
    frozen.train()
    torch.manual_seed(3)
    output = network.model(IMAGES)
    torch.manual_seed(3)
    wanted = output if isinstance(output, Tensor) else output[0]
    torch.testing.assert_close(replay(features.clone()), wanted)
    assert ("drop" in name) == (not torch.equal(replay(features.clone()), replay(features.clone())))


def test_of_several_heads_the_mean_is_given() -> None:
    def finish(net: Net, x: Tensor) -> Tensor:
        return (net.fc(net.drop(x.flatten(1))) + net.other(net.drop(x.flatten(1).exp()))) / 2

    network, frozen = make_network(finish, ("fc", "other"))
    replay = split_head_only(network, frozen, IMAGES)
    features = replay.take(network.model.eval(), IMAGES)
    assert replay.width == 64
    torch.testing.assert_close(replay(features), network.model(IMAGES))


def test_what_the_replay_learns_the_network_has_learned() -> None:
    network, frozen = make_network(ALIKE["linear"])
    replay = split_head_only(network, frozen, IMAGES)
    assert {id(p) for p in replay.parameters()} == {id(p) for p in network.model.parameters() if p.requires_grad}


def test_the_rest_of_the_network_is_not_run_for_the_features() -> None:
    network, frozen = make_network(ALIKE["linear"])
    replay = split_head_only(network, frozen, IMAGES)
    ran = []
    network.model.get_submodule("fc").register_forward_hook(lambda *_: ran.append(1))
    replay.take(network.model.eval(), IMAGES)
    assert not ran


def test_proving_leaves_random_numbers_and_hooks_as_they_were() -> None:
    network, frozen = make_network(ALIKE["module that drops"])
    torch.manual_seed(11)
    wanted = torch.rand(3)
    torch.manual_seed(11)
    split_head_only(network, frozen, IMAGES)
    assert torch.equal(torch.rand(3), wanted)
    assert not any(module._forward_pre_hooks or module._forward_hooks for module in network.model.modules())


OTHER = {
    "something follows": (lambda net, x: net.fc(x.flatten(1)).relu() + 1, "gives other logits"),
    "pooled afterwards": (lambda net, x: net.fc(x.flatten(2).mean(1, keepdim=True).repeat(1, 8, 8)).mean(1), None),
    "called twice": (lambda net, x: net.fc(x.flatten(1)) + net.fc(x.flatten(1)), "called 2 times a pass"),
    "never called": (lambda net, x: functional.linear(x.flatten(1), net.fc.weight, net.fc.bias), "called 0 times"),
    "noise of another kind": (
        lambda net, x: net.fc(x.flatten(1) + net.training * torch.randn(len(x), 32)),
        "gives other logits",
    ),
}


@pytest.mark.parametrize("name", OTHER)
def test_a_head_that_is_not_all_that_learns_is_refused(name: str) -> None:
    finish, reason = OTHER[name]
    network, frozen = make_network(finish)
    with pytest.raises(CannotSplit, match=reason):
        split_head_only(network, frozen, IMAGES)


def test_what_a_plugin_says_is_believed() -> None:
    network, frozen = make_network(ALIKE["linear"])
    silent = replace(network.backbone, unsupported={"cached_features": "it is pooled afterwards"})
    with pytest.raises(CannotSplit, match="it is pooled afterwards"):
        split_head_only(replace(network, backbone=silent), frozen, IMAGES)
