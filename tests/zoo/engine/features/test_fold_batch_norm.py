from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from zoo.engine.features.fold_batch_norm import fold_norms

IMAGES = torch.randn(3, 4, 9, 9, generator=torch.Generator().manual_seed(0))


def with_statistics(model: nn.Module) -> nn.Module:
    """Give batch norms numbers that are not the initial ones."""
    generator = torch.Generator().manual_seed(1)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            for tensor in (module.running_mean, module.running_var, module.weight, module.bias):
                if tensor is not None:
                    tensor.data.copy_(torch.rand(tensor.shape, generator=generator) + 0.5)
    return model.eval()


class Net(nn.Module):
    """Two convolutions with a norm, and whatever a test does with them."""

    def __init__(self, run: Callable[[Net, Tensor], Tensor]) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(4, 4, 3, padding=1, groups=2), nn.BatchNorm2d(4)
        self.other, self.last = nn.Conv2d(4, 4, 3, bias=False, stride=2), nn.BatchNorm2d(4, affine=False)
        self.run = run

    def forward(self, images: Tensor) -> Tensor:
        return self.run(self, images)


NETS: dict[str, tuple[Callable[[Net, Tensor], Tensor], int]] = {
    "one after the other": (lambda net, x: net.last(net.other(net.norm(net.conv(x)).relu_())), 2),
    "a norm of something else": (lambda net, x: net.norm(x) + net.last(net.other(x)).mean(), 1),
    "a convolution without norm": (lambda net, x: net.other(net.norm(net.conv(x))), 1),
    "something in between": (lambda net, x: net.norm(net.conv(x).relu()), 0),
}


@pytest.mark.parametrize("name", NETS)
@torch.no_grad()
def test_what_is_folded_gives_the_same(name: str) -> None:
    run, pairs = NETS[name]
    model = with_statistics(Net(run))
    wanted = model(IMAGES)
    folded = fold_norms(model, IMAGES)
    assert len(folded) == pairs
    with folded:
        found = model(IMAGES)
    torch.testing.assert_close(found, wanted)


@torch.no_grad()
def test_norms_that_are_folded_do_nothing_themselves_and_no_tensor_changes() -> None:
    model = with_statistics(Net(NETS["one after the other"][0]))
    folded = fold_norms(model, IMAGES)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    wanted = model(IMAGES)
    with folded, torch.profiler.profile() as profile:
        model(IMAGES)
    assert not [event for event in profile.key_averages() if "batch_norm" in event.key]
    assert torch.equal(model(IMAGES), wanted)
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


@torch.no_grad()
def test_a_weight_that_is_computed_at_every_pass_is_left_alone() -> None:
    def run(net: Net, images: Tensor) -> Tensor:
        weight = net.conv.weight - net.conv.weight.mean()
        return net.norm(nn.functional.conv2d(images, weight, net.conv.bias, groups=2))

    assert len(fold_norms(with_statistics(Net(run)), IMAGES)) == 0


@torch.no_grad()
def test_norms_that_normalise_by_the_batch_are_left_alone() -> None:
    model = with_statistics(Net(lambda net, x: net.norm(net.conv(x))))
    model.norm = nn.BatchNorm2d(4, track_running_stats=False)
    assert len(fold_norms(model, IMAGES)) == 0


@torch.no_grad()
def test_where_folding_gives_something_else_it_shows() -> None:
    # What the convolution gives is used twice: the caller compares, and does without.
    def run(net: Net, images: Tensor) -> Tensor:
        between = net.conv(images)
        return net.norm(between) + between

    model = with_statistics(Net(run))
    with fold_norms(model, IMAGES):
        found = model(IMAGES)
    assert not torch.allclose(found, model(IMAGES))
