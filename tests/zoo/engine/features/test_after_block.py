from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from zoo.engine.features.after_block import split_after_block
from zoo.engine.features.tail import CannotSplit
from zoo.models.blocks import list_trainable
from zoo.models.build import Network, attach_head
from zoo.models.freeze import Frozen
from zoo.models.weights.choose import WeightsSource
from zoo.plugin import BackboneSpec, BlockSpec
from zoo.registry.train_scope import TrainScope

IMAGES = torch.randn(4, 3, 16, 16, generator=torch.Generator().manual_seed(5))
OTHERS = torch.randn(7, 3, 16, 16, generator=torch.Generator().manual_seed(6))


class Block(nn.Sequential):
    """A block that remembers something of what it gave last."""

    def __init__(self, width: int, out: int) -> None:
        super().__init__(nn.Conv2d(width, out, 3, padding=1), nn.BatchNorm2d(out), nn.ReLU(inplace=True))

    def forward(self, images: Tensor) -> Tensor:
        output: Tensor = super().forward(images)
        self.kept = output.detach().mean(1, keepdim=True)
        return output


class Net(nn.Module):
    """Three blocks, and whatever a test does with them."""

    def __init__(self, run: Callable[[Net, Tensor], Tensor]) -> None:
        super().__init__()
        self.one, self.two, self.three = Block(3, 6), Block(6, 8), Block(8, 8)
        self.walk = nn.ModuleList(nn.Conv2d(3, 3, 3, padding=1) for _ in range(3))
        self.widen = nn.Conv2d(3, 8, 1)
        self.drop = nn.Dropout(0.5)
        self.offset = nn.Parameter(torch.randn(6, 1, 1))
        self.gain = nn.Parameter(torch.zeros(1))
        self.turn = nn.Parameter(torch.randn(6, 6))
        self.fc = nn.Linear(8, 10)
        self.run = run

    def forward(self, images: Tensor) -> Tensor:
        return self.run(self, images)


def finish(net: Net, x: Tensor) -> Tensor:
    return net.fc(net.drop(net.three(x).mean((2, 3))))  # type: ignore[no-any-return]


def walk(blocks: nn.ModuleList, x: Tensor) -> Tensor:
    for block in blocks:
        x = block(x)
    return x


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
    "what is kept of the images": (lambda net, x: finish(net, net.two(net.one(x)) + net.one.kept[0]), "other logits"),
    "a gain that is zero yet": (
        lambda net, x: finish(net, net.two(y := net.one(x)) + net.gain * y.mean(1, keepdim=True)),
        "gain would learn something else",
    ),
    "a parameter that only its transpose shows": (
        lambda net, x: finish(net, net.two((net.one(x).transpose(1, 3) @ net.turn.T).transpose(1, 3))),
        "turn would learn something else",
    ),
    "most of it comes later": (
        lambda net, x: net.fc(net.drop(net.two(net.one(x) * net.gain.exp()).mean((2, 3)))),
        "most of what is frozen comes after one",
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
        blocks=(
            BlockSpec("one", ("one", "offset", "walk")),
            BlockSpec("two", ("two",)),
            BlockSpec("three", ("three", "gain", "turn", "widen")),
        ),
        num_classes=10,
        params=1,
        license="MIT",
    )
    network = attach_head(spec, WeightsSource("none"), spec.build(None), "linear", 3)
    assert isinstance(spec.blocks, tuple)
    return network, Frozen(network.model, list_trainable(spec.blocks, network.head, TrainScope.parse(train)))


@pytest.mark.parametrize("run", RUNS.values(), ids=RUNS)
def test_what_comes_after_the_last_frozen_block_learns_as_the_whole_network_would(
    run: Callable[[Net, Tensor], Tensor],
) -> None:
    network, frozen = make_network(run)
    cut = split_after_block(network, frozen, IMAGES)
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
    with pytest.raises(CannotSplit, match=reason):
        split_after_block(network, frozen, IMAGES)


def test_where_all_learns_nothing_can_be_cut() -> None:
    network, frozen = make_network(RUNS["plain"], "all")
    with pytest.raises(CannotSplit, match="nothing that is frozen"):
        split_after_block(network, frozen, IMAGES)


def test_nothing_before_the_cut_is_run() -> None:
    network, frozen = make_network(RUNS["plain"])
    cut = split_after_block(network, frozen, IMAGES)
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
    cut = split_after_block(network, frozen, IMAGES)
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
    split_after_block(network, frozen, IMAGES)
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
    split_after_block(network, frozen, IMAGES)
    assert one.forward is mine


def test_the_layout_and_the_dtype_are_those_that_the_network_gave() -> None:
    network, frozen = make_network(RUNS["plain"])
    network.model.to(memory_format=torch.channels_last)
    entered = []
    network.model.get_submodule("three").register_forward_pre_hook(lambda _m, inputs: entered.append(inputs[0]))
    images = IMAGES.contiguous(memory_format=torch.channels_last)
    with torch.autocast("cpu", torch.bfloat16):
        cut = split_after_block(network, frozen, images)
        features = cut.take(network.model.eval(), images)
        entered.clear()
        network.model(images)
        cut(features.float())
    wanted, found = entered
    assert features.dtype == found.dtype == wanted.dtype == torch.bfloat16
    assert found.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(found, wanted)


def make_flat(*layers: nn.Module, train: str) -> tuple[Network, Frozen]:
    """Make a network of the layers one after the other, of which those before ``train`` are frozen, and a head."""
    model = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.LazyLinear(10))
    model(IMAGES)
    head = str(len(model) - 1)
    blocks = tuple(
        BlockSpec(name, (name,)) for name, layer in model.named_children() if [*layer.parameters()] and name != head
    )
    spec = BackboneSpec(
        name="acme/flat", family="acme", build=lambda _tag: model, head=(head,), blocks=blocks,
        num_classes=10, params=1, license="MIT",
    )  # fmt: skip
    network = attach_head(spec, WeightsSource("none"), model, "linear", 3)
    return network, Frozen(network.model, list_trainable(blocks, network.head, TrainScope.parse(train)))


def test_what_holds_nothing_comes_along_as_far_as_it_may() -> None:
    layers = (nn.Conv2d(3, 4, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(4, 4, 3))
    network, frozen = make_flat(*layers, train="from:3")
    cut = split_after_block(network, frozen, IMAGES)
    assert (cut.where, cut.width) == ("2", 4 * 7 * 7)
    dropping = (nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Dropout(0.5), nn.Conv2d(4, 4, 3))
    network, frozen = make_flat(*dropping, train="from:3")
    assert split_after_block(network, frozen, IMAGES).where == "0"  # and the dropout goes on dropping


def test_a_list_of_blocks_that_is_walked_is_cut_after_its_last_one() -> None:
    network, frozen = make_network(lambda net, x: finish(net, net.two(net.one(walk(net.walk, x)))))
    cut = split_after_block(network, frozen, IMAGES)
    features = cut.take(network.model.eval(), IMAGES)
    network.model.get_submodule("walk.1").weight = None  # nobody may run it
    cut(features)


def test_the_last_block_of_a_list_is_where_it_is_cut() -> None:
    network, frozen = make_network(lambda net, x: finish(net, net.widen(walk(net.walk, net.two(net.one(x))[:, :3]))))
    assert split_after_block(network, frozen, IMAGES).where == "walk.2"
