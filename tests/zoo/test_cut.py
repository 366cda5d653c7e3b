from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from zoo.backbone import Network, attach_head
from zoo.cut import find_cut
from zoo.freeze import Frozen, list_learning
from zoo.plugin import BackboneSpec, BlockSpec
from zoo.replay import CannotReplay
from zoo.start import Start

IMAGES = torch.randn(4, 3, 16, 16, generator=torch.Generator().manual_seed(5))
OTHERS = torch.randn(7, 3, 16, 16, generator=torch.Generator().manual_seed(6))


def conv(width: int, out: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(width, out, 3, padding=1), nn.BatchNorm2d(out), nn.ReLU(inplace=True))


class Net(nn.Module):
    """Three blocks, and whatever a test does with them."""

    def __init__(self, run: Callable[[Net, Tensor], Tensor]) -> None:
        super().__init__()
        self.one, self.two, self.three = conv(3, 6), conv(6, 8), conv(8, 8)
        self.drop = nn.Dropout(0.5)
        self.offset = nn.Parameter(torch.randn(6, 1, 1))
        self.fc = nn.Linear(8, 10)
        self.run = run

    def forward(self, images: Tensor) -> Tensor:
        return self.run(self, images)


def finish(net: Net, x: Tensor) -> Tensor:
    return net.fc(net.drop(net.three(x).mean((2, 3))))  # type: ignore[no-any-return]


RUNS: dict[str, Callable[[Net, Tensor], Tensor]] = {
    "plain": lambda net, x: finish(net, net.two(net.one(x))),
    "a parameter of the net": lambda net, x: finish(net, net.two(net.one(x) + net.offset)),
    "called twice": lambda net, x: finish(net, net.two(net.one(x) + net.one(-x))),
    "functions between": lambda net, x: finish(net, net.two(functional.max_pool2d(net.one(x), 2).relu())),
}
REFUSED: dict[str, tuple[Callable[[Net, Tensor], Tensor], str]] = {
    "a skip": (lambda net, x: finish(net, net.two(y := net.one(x)) + y.mean(1, keepdim=True)), "other logits"),
    "images seen again": (lambda net, x: finish(net, net.two(net.one(x)) + x.mean(1, keepdim=True)), "other logits"),
    "a block that learns comes first": (
        lambda net, x: net.fc(net.two(net.one(net.three(x.repeat(1, 3, 1, 1)[:, :8])[:, :3])).mean((2, 3))),
        "nothing that is frozen",
    ),
    "writing in place": (
        lambda net, x: finish(net, net.two(net.one(x).mul_(2))),
        "after two it cannot run alone: .*memory location",
    ),
    "nothing of the batch": (
        lambda net, x: finish(net, net.two(net.one(x.reshape(2, -1, 16, 16)[:, :3])).repeat_interleave(2, 0)),
        "nothing that is frozen",
    ),
}


def make_network(run: Callable[[Net, Tensor], Tensor], train: str = "from:three") -> tuple[Network, Frozen]:
    torch.manual_seed(0)
    spec = BackboneSpec(
        name="acme/net",
        family="acme",
        build=lambda _tag: Net(run),
        head=("fc",),
        blocks=(BlockSpec("one", ("one", "offset")), BlockSpec("two", ("two",)), BlockSpec("three", ("three",))),
        num_classes=10,
        params=1,
        licence="MIT",
    )
    network = attach_head(spec, Start("none"), spec.build(None), "linear", 3)
    assert isinstance(spec.blocks, tuple)
    return network, Frozen(network.model, list_learning(spec.blocks, network.head, train))


@pytest.mark.parametrize("run", RUNS.values(), ids=RUNS)
def test_what_comes_after_the_last_frozen_block_learns_as_the_whole_network_would(
    run: Callable[[Net, Tensor], Tensor],
) -> None:
    network, frozen = make_network(run)
    cut = find_cut(network, frozen, IMAGES)
    assert cut.where == "two"
    features = cut.take(network.model.eval(), OTHERS)
    assert features.shape == (7, cut.width)
    torch.testing.assert_close(cut(features), network.model(OTHERS))
    gradients = []
    for model, given in ((network.model, OTHERS), (cut, features)):
        frozen.train()
        torch.manual_seed(3)
        network.model.zero_grad()
        model(given).square().sum().backward()
        gradients.append({name: p.grad for name, p in network.model.named_parameters() if p.grad is not None})
    wanted, found = gradients
    assert wanted.keys() == found.keys() > {"three.0.weight", "fc.weight"}
    for name, gradient in wanted.items():
        torch.testing.assert_close(found[name], gradient)


@pytest.mark.parametrize(("run", "reason"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_cut_is_refused(run: Callable[[Net, Tensor], Tensor], reason: str) -> None:
    network, frozen = make_network(run)
    with pytest.raises(CannotReplay, match=reason):
        find_cut(network, frozen, IMAGES)


def test_where_all_learns_nothing_can_be_cut() -> None:
    network, frozen = make_network(RUNS["plain"], "all")
    with pytest.raises(CannotReplay, match="nothing that is frozen"):
        find_cut(network, frozen, IMAGES)


def test_nothing_before_the_cut_is_run() -> None:
    network, frozen = make_network(RUNS["plain"])
    cut = find_cut(network, frozen, IMAGES)
    features = cut.take(network.model.eval(), IMAGES)
    ran = []
    network.model.get_submodule("one.0").register_forward_hook(lambda *_: ran.append("one"))
    network.model.get_submodule("two.0").register_forward_hook(lambda *_: ran.append("two"))
    cut(features)
    assert ran == []
    network.model(IMAGES)
    assert ran == ["one", "two"]


def test_nothing_after_the_cut_is_run_for_the_features() -> None:
    network, frozen = make_network(RUNS["plain"])
    cut = find_cut(network, frozen, IMAGES)
    ran = []
    network.model.get_submodule("three").register_forward_hook(lambda *_: ran.append("three"))
    cut.take(network.model.eval(), IMAGES)
    assert ran == []


def test_proving_leaves_statistics_random_numbers_hooks_and_methods_as_they_were() -> None:
    network, frozen = make_network(RUNS["plain"])
    before = {name: tensor.clone() for name, tensor in network.model.state_dict().items()}
    torch.manual_seed(11)
    wanted = torch.rand(3)
    torch.manual_seed(11)
    find_cut(network, frozen, IMAGES)
    assert torch.equal(torch.rand(3), wanted)
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.model.state_dict().items())
    for module in network.model.modules():
        assert not module._forward_hooks
        assert not module._forward_pre_hooks
        assert "forward" not in vars(module)


def test_a_method_that_upstream_put_on_the_module_is_there_again() -> None:
    network, frozen = make_network(RUNS["plain"])
    one = network.model.get_submodule("one")
    mine = one.forward  # bound anew whenever it is asked for
    one.forward = mine
    find_cut(network, frozen, IMAGES)
    assert one.forward is mine


def test_the_layout_and_the_dtype_are_those_that_the_network_gave() -> None:
    network, frozen = make_network(RUNS["plain"])
    network.model.to(memory_format=torch.channels_last)
    entered = []
    network.model.get_submodule("three").register_forward_pre_hook(lambda _m, inputs: entered.append(inputs[0]))
    images = IMAGES.contiguous(memory_format=torch.channels_last)
    with torch.autocast("cpu", torch.bfloat16):
        cut = find_cut(network, frozen, images)
        features = cut.take(network.model.eval(), images)
        entered.clear()
        network.model(images)
        cut(features.float())
    wanted, found = entered
    assert features.dtype == found.dtype == wanted.dtype == torch.bfloat16
    assert found.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(found, wanted)
