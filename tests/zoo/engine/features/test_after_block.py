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
    """A block that stores a part of its last output."""

    def __init__(self, width: int, out: int) -> None:
        super().__init__(nn.Conv2d(width, out, 3, padding=1), nn.BatchNorm2d(out), nn.ReLU(inplace=True))

    def forward(self, images: Tensor) -> Tensor:
        output: Tensor = super().forward(images)
        self.stored = output.detach().mean(1, keepdim=True)
        return output


class Net(nn.Module):
    """Three blocks, and a forward pass that each test defines."""

    def __init__(self, run: Callable[[Net, Tensor], Tensor]) -> None:
        super().__init__()
        self.one, self.two, self.three = Block(3, 6), Block(6, 8), Block(8, 8)
        self.layers = nn.ModuleList(nn.Conv2d(3, 3, 3, padding=1) for _ in range(3))
        self.widen = nn.Conv2d(3, 8, 1)
        self.drop = nn.Dropout(0.5)
        self.offset = nn.Parameter(torch.randn(6, 1, 1))
        self.scale = nn.Parameter(torch.zeros(1))
        self.rotation = nn.Parameter(torch.randn(6, 6))
        self.fc = nn.Linear(8, 10)
        self.run = run

    def forward(self, images: Tensor) -> Tensor:
        return self.run(self, images)


def finish(net: Net, x: Tensor) -> Tensor:
    return net.fc(net.drop(net.three(x).mean((2, 3))))  # type: ignore[no-any-return]


def run_each(blocks: nn.ModuleList, x: Tensor) -> Tensor:
    for block in blocks:
        x = block(x)
    return x


RUNS: dict[str, Callable[[Net, Tensor], Tensor]] = {
    "plain": lambda net, x: finish(net, net.two(net.one(x))),
    "a parameter of the network itself": lambda net, x: finish(net, net.two(net.one(x) + net.offset)),
    "called twice": lambda net, x: finish(net, net.two(net.one(x) + net.one(-x))),
    "functions between blocks": lambda net, x: finish(net, net.two(functional.max_pool2d(net.one(x), 2).relu())),
}
REFUSED: dict[str, tuple[Callable[[Net, Tensor], Tensor], str]] = {
    "a skip connection": (
        lambda net, x: finish(net, net.two(y := net.one(x)) + y.mean(1, keepdim=True)),
        "different logits",
    ),
    "images used again": (
        lambda net, x: finish(net, net.two(net.one(x)) + x.mean(1, keepdim=True)),
        "different logits",
    ),
    "a trainable block runs first": (
        lambda net, x: net.fc(net.two(net.one(net.three(x.repeat(1, 3, 1, 1)[:, :8])[:, :3])).mean((2, 3))),
        "no frozen module",
    ),
    "an in-place operation": (
        lambda net, x: finish(net, net.two(net.one(x).mul_(2))),
        "the part after two cannot run on its own: .*memory location",
    ),
    "something stored from the images": (
        lambda net, x: finish(net, net.two(net.one(x)) + net.one.stored[0]),
        "different logits",
    ),
    "a scale that is still zero": (
        lambda net, x: finish(net, net.two(y := net.one(x)) + net.scale * y.mean(1, keepdim=True)),
        "scale has a different gradient",
    ),
    "a parameter that is used transposed": (
        lambda net, x: finish(net, net.two((net.one(x).transpose(1, 3) @ net.rotation.T).transpose(1, 3))),
        "rotation has a different gradient",
    ),
    "most frozen parameters come later": (
        lambda net, x: net.fc(net.drop(net.two(net.one(x) * net.scale.exp()).mean((2, 3)))),
        "most frozen parameters come after one",
    ),
    "outputs without a row per image": (
        lambda net, x: finish(net, net.two(net.one(x.reshape(2, -1, 16, 16)[:, :3])).repeat_interleave(2, 0)),
        "no frozen module",
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
            BlockSpec("one", ("one", "offset", "layers")),
            BlockSpec("two", ("two",)),
            BlockSpec("three", ("three", "scale", "rotation", "widen")),
        ),
        num_classes=10,
        params=1,
        license="MIT",
    )
    network = attach_head(spec, WeightsSource("none"), spec.build(None), "linear", 3)
    assert isinstance(spec.blocks, tuple)
    return network, Frozen(network.model, list_trainable(spec.blocks, network.head, TrainScope.parse(train)))


@pytest.mark.parametrize("run", RUNS.values(), ids=RUNS)
def test_the_tail_returns_the_logits_and_gradients_of_the_full_network(
    run: Callable[[Net, Tensor], Tensor],
) -> None:
    network, frozen = make_network(run)
    tail = split_after_block(network, frozen, IMAGES)
    assert tail.where == "two"
    features = tail.extract(network.model.eval(), OTHERS)
    assert features.shape == (7, tail.width)
    torch.testing.assert_close(tail(features), network.model(OTHERS))
    gradients = []
    for model, inputs in ((network.model, OTHERS), (tail, features)):
        frozen.train()
        torch.manual_seed(3)
        network.model.zero_grad()
        model(inputs).square().sum().backward()
        gradients.append({name: p.grad for name, p in network.model.named_parameters() if p.grad is not None})
    wanted, found = gradients
    assert wanted.keys() == found.keys() > {"three.0.weight", "fc.weight"}
    for name, gradient in wanted.items():
        torch.testing.assert_close(found[name], gradient)


@pytest.mark.parametrize(("run", "reason"), REFUSED.values(), ids=REFUSED)
def test_a_network_that_cannot_be_split_is_refused(run: Callable[[Net, Tensor], Tensor], reason: str) -> None:
    network, frozen = make_network(run)
    with pytest.raises(CannotSplit, match=reason):
        split_after_block(network, frozen, IMAGES)


def test_a_functional_dropout_before_the_head_still_runs() -> None:
    network, frozen = make_network(
        lambda net, x: net.fc(functional.dropout(net.three(net.two(net.one(x))).mean((2, 3)), 0.5, net.training)),
        "head",
    )
    tail = split_after_block(network, frozen, IMAGES)
    features = tail.extract(network.model.eval(), IMAGES)
    torch.testing.assert_close(tail(features), network.model(IMAGES))
    frozen.train()
    assert not torch.equal(tail(features), tail(features))


def test_a_network_without_frozen_modules_is_refused() -> None:
    network, frozen = make_network(RUNS["plain"], "all")
    with pytest.raises(CannotSplit, match="no frozen module"):
        split_after_block(network, frozen, IMAGES)


def test_the_tail_runs_no_module_before_the_split() -> None:
    network, frozen = make_network(RUNS["plain"])
    tail = split_after_block(network, frozen, IMAGES)
    features = tail.extract(network.model.eval(), IMAGES)
    ran = []
    network.model.get_submodule("one.0").register_forward_hook(lambda *_: ran.append("one"))
    network.model.get_submodule("two.0").register_forward_hook(lambda *_: ran.append("two"))
    tail(features)
    assert ran == []
    network.model(IMAGES)
    assert ran == ["one", "two"]


def test_extract_runs_no_module_after_the_split() -> None:
    network, frozen = make_network(RUNS["plain"])
    tail = split_after_block(network, frozen, IMAGES)
    ran = []
    network.model.get_submodule("three").register_forward_hook(lambda *_: ran.append("three"))
    tail.extract(network.model.eval(), IMAGES)
    assert ran == []


def test_splitting_changes_no_buffers_random_state_hooks_or_methods() -> None:
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


def test_a_forward_that_was_set_on_the_instance_is_restored() -> None:
    network, frozen = make_network(RUNS["plain"])
    one = network.model.get_submodule("one")
    own = one.forward  # every access creates another bound method
    one.forward = own
    split_after_block(network, frozen, IMAGES)
    assert one.forward is own


def test_the_memory_format_and_dtype_are_those_of_the_full_network() -> None:
    network, frozen = make_network(RUNS["plain"])
    network.model.to(memory_format=torch.channels_last)
    inputs = []
    network.model.get_submodule("three").register_forward_pre_hook(lambda _module, args: inputs.append(args[0]))
    images = IMAGES.contiguous(memory_format=torch.channels_last)
    with torch.autocast("cpu", torch.bfloat16):
        tail = split_after_block(network, frozen, images)
        features = tail.extract(network.model.eval(), images)
        inputs.clear()
        network.model(images)
        tail(features.float())
    wanted, found = inputs
    assert features.dtype == found.dtype == wanted.dtype == torch.bfloat16
    assert found.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(found, wanted)


def make_flat(*layers: nn.Module, train: str) -> tuple[Network, Frozen]:
    """Build a sequential network of these layers and a head; the layers before ``train`` are frozen."""
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


def test_modules_without_a_state_are_before_the_split_unless_they_are_dropouts() -> None:
    layers = (nn.Conv2d(3, 4, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(4, 4, 3))
    network, frozen = make_flat(*layers, train="from:3")
    tail = split_after_block(network, frozen, IMAGES)
    assert (tail.where, tail.width) == ("2", 4 * 7 * 7)
    with_dropout = (nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Dropout(0.5), nn.Conv2d(4, 4, 3))
    network, frozen = make_flat(*with_dropout, train="from:3")
    assert split_after_block(network, frozen, IMAGES).where == "0"  # so that the dropout still runs


def test_no_layer_of_a_frozen_module_list_runs_in_the_tail() -> None:
    network, frozen = make_network(lambda net, x: finish(net, net.two(net.one(run_each(net.layers, x)))))
    tail = split_after_block(network, frozen, IMAGES)
    features = tail.extract(network.model.eval(), IMAGES)
    network.model.get_submodule("layers.1").weight = None  # the layer would fail if it ran
    tail(features)


def test_the_split_may_be_after_the_last_layer_of_a_module_list() -> None:
    network, frozen = make_network(
        lambda net, x: finish(net, net.widen(run_each(net.layers, net.two(net.one(x))[:, :3])))
    )
    assert split_after_block(network, frozen, IMAGES).where == "layers.2"
