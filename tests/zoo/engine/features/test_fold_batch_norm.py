from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from zoo.engine.features.fold_batch_norm import fold_norms
from zoo.engine.features.forward_pass import replaced_forwards

IMAGES = torch.randn(3, 4, 9, 9, generator=torch.Generator().manual_seed(0))


def with_statistics(model: nn.Module) -> nn.Module:
    """Give batch norms random statistics and parameters."""
    generator = torch.Generator().manual_seed(1)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            for tensor in (module.running_mean, module.running_var, module.weight, module.bias):
                if tensor is not None:
                    tensor.data.copy_(torch.rand(tensor.shape, generator=generator) + 0.5)
    return model.eval()


class Net(nn.Module):
    """Two convolutions, two batch norms and a forward pass that each test defines."""

    def __init__(self, run: Callable[[Net, Tensor], Tensor]) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(4, 4, 3, padding=1, groups=2), nn.BatchNorm2d(4)
        self.other, self.last = nn.Conv2d(4, 4, 3, bias=False, stride=2), nn.BatchNorm2d(4, affine=False)
        self.run = run

    def forward(self, images: Tensor) -> Tensor:
        return self.run(self, images)


NETS: dict[str, tuple[Callable[[Net, Tensor], Tensor], int]] = {
    "two pairs": (lambda net, x: net.last(net.other(net.norm(net.conv(x)).relu_())), 2),
    "a norm without convolution": (lambda net, x: net.norm(x) + net.last(net.other(x)).mean(), 1),
    "a convolution without norm": (lambda net, x: net.other(net.norm(net.conv(x))), 1),
    "something between the two": (lambda net, x: net.norm(net.conv(x).relu()), 0),
}


@pytest.mark.parametrize("name", NETS)
@torch.no_grad()
def test_folding_does_not_change_the_output(name: str) -> None:
    run, pairs = NETS[name]
    model = with_statistics(Net(run))
    wanted = model(IMAGES)
    folded = fold_norms(model, IMAGES)
    assert len(folded) == 2 * pairs
    with replaced_forwards(folded):
        found = model(IMAGES)
    torch.testing.assert_close(found, wanted)


@torch.no_grad()
def test_folded_norms_are_not_run_and_the_model_does_not_change() -> None:
    model = with_statistics(Net(NETS["two pairs"][0]))
    folded = fold_norms(model, IMAGES)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    wanted = model(IMAGES)
    with replaced_forwards(folded), torch.profiler.profile() as profile:
        model(IMAGES)
    assert not [event for event in profile.key_averages() if "batch_norm" in event.key]
    assert torch.equal(model(IMAGES), wanted)
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


@torch.no_grad()
def test_a_weight_that_is_computed_in_every_forward_pass_is_not_folded() -> None:
    def run(net: Net, images: Tensor) -> Tensor:
        weight = net.conv.weight - net.conv.weight.mean()
        return net.norm(nn.functional.conv2d(images, weight, net.conv.bias, groups=2))

    assert len(fold_norms(with_statistics(Net(run)), IMAGES)) == 0


@torch.no_grad()
def test_a_parametrized_weight_is_not_folded() -> None:
    model = with_statistics(Net(NETS["two pairs"][0]))
    nn.utils.parametrizations.weight_norm(model.get_submodule("conv"))
    assert len(fold_norms(model, IMAGES)) == 2


@torch.no_grad()
def test_modules_inside_a_norm_still_run() -> None:
    class NormAct(nn.BatchNorm2d):
        """A batch norm that contains the activation, as timm's do."""

        def __init__(self) -> None:
            super().__init__(4)
            self.act = nn.ReLU(inplace=True)

        def forward(self, input: Tensor) -> Tensor:  # noqa: A002  # torch's name
            output: Tensor = self.act(super().forward(input))
            return output

    model = Net(lambda net, x: net.norm(net.conv(x)))
    model.norm = NormAct()
    wanted = with_statistics(model)(IMAGES)
    with replaced_forwards(fold_norms(model, IMAGES)):
        found = model(IMAGES)
    assert (wanted == 0).any()
    torch.testing.assert_close(found, wanted)


@torch.no_grad()
def test_a_norm_without_running_statistics_is_not_folded() -> None:
    model = with_statistics(Net(lambda net, x: net.norm(net.conv(x))))
    model.norm = nn.BatchNorm2d(4, track_running_stats=False)
    assert len(fold_norms(model, IMAGES)) == 0


@torch.no_grad()
def test_an_output_that_is_used_twice_shows_in_the_comparison() -> None:
    def run(net: Net, images: Tensor) -> Tensor:
        between = net.conv(images)
        return net.norm(between) + between

    model = with_statistics(Net(run))
    with replaced_forwards(fold_norms(model, IMAGES)):
        found = model(IMAGES)
    assert not torch.allclose(found, model(IMAGES))
