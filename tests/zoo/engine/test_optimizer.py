from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from small_steps import Plain, make_batch, make_learner
from zoo.engine.distributed.world import ALONE
from zoo.engine.optimizer import build_optimizer
from zoo.engine.step import learn
from zoo.plugin import BackboneSpec
from zoo.registry.optimizer_design import OPTIMIZERS, OptimizerDesign

LR = 0.5


def test_biases_and_norms_do_not_decay_and_frozen_parameters_are_left_out(acme: BackboneSpec) -> None:
    model = acme.build(None)
    model.get_submodule("stem").requires_grad_(False)
    groups = build_optimizer(OptimizerDesign("adamw"), model.parameters(), LR, 0.03).param_groups
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    decay = {names[id(p)]: group["weight_decay"] for group in groups for p in group["params"]}
    convolutions = {"layer1.0.weight", "layer2.0.weight", "classifier.0.weight", "classifier.3.weight"}
    assert {name for name, value in decay.items() if value == 0.03} == convolutions
    assert {name for name, value in decay.items() if value == 0.0} == {
        *("layer1.0.bias", "layer1.1.weight", "layer1.1.bias", "layer2.0.bias", "layer2.1.weight", "layer2.1.bias"),
        *("classifier.0.bias", "classifier.3.bias"),
    }


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("shape", [(2, 2), (2,)])
def test_a_single_parameter_is_enough(name: str, shape: tuple[int, ...]) -> None:
    parameter = nn.Parameter(torch.ones(shape))
    optimizer = build_optimizer(OptimizerDesign(name), [parameter], LR, 0.01)
    parameter.grad = torch.ones(shape)
    optimizer.step()
    assert [group["initial_lr"] for group in optimizer.param_groups] == [LR]
    assert (parameter < 1).all()


@pytest.mark.parametrize(
    ("name", "plain"),
    [
        ("sgd", lambda groups: torch.optim.SGD(groups, lr=0.1, momentum=0.9)),
        ("adam", lambda groups: torch.optim.Adam(groups, lr=0.1)),
        ("adamw", lambda groups: torch.optim.AdamW(groups, lr=0.1)),
    ],
)
def test_each_optimizer_equals_torchs_optimizer_on_channels_last_weights(name: str, plain: object) -> None:
    assert callable(plain)
    torch.manual_seed(0)
    ours = nn.Conv2d(3, 4, 3)
    theirs = nn.Conv2d(3, 4, 3)
    theirs.load_state_dict(ours.state_dict())
    ours.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = build_optimizer(OptimizerDesign(name), ours.parameters(), 0.1, 0.2)
    expected = plain([
        {"params": [theirs.weight], "weight_decay": 0.2}, {"params": [theirs.bias], "weight_decay": 0.0}
    ])  # fmt: skip
    for _ in range(3):
        images = torch.randn(2, 3, 6, 6)
        for model, each in ((ours, optimizer), (theirs, expected)):
            each.zero_grad()
            model(images).square().mean().backward()
            each.step()
    torch.testing.assert_close(ours.weight.contiguous(), theirs.weight)
    torch.testing.assert_close(ours.bias, theirs.bias)


@pytest.mark.parametrize("name", ["rmsprop", "SGD", ""])
def test_an_unknown_name_is_an_error(name: str) -> None:
    with pytest.raises(KeyError):
        build_optimizer(OptimizerDesign(name), [nn.Parameter(torch.ones(1))], LR, 0.0)


@pytest.mark.parametrize(("device", "fused"), [("cpu", True), ("meta", False)])
def test_sgd_is_fused_only_on_cpus(device: str, *, fused: bool) -> None:
    optimizer = build_optimizer(OptimizerDesign("sgd"), [nn.Parameter(torch.ones(1, device=device))], LR, 0.0)
    assert optimizer.defaults["fused"] is fused


def test_parameters_can_have_different_learning_rates() -> None:
    model = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 2))
    deep = set(model[0].parameters())
    groups = build_optimizer(
        OptimizerDesign("sgd"), model.parameters(), LR, 0.1, lambda p: 0.5 if p in deep else 1.0
    ).param_groups
    initial_lrs = {parameter: group["initial_lr"] for group in groups for parameter in group["params"]}
    assert initial_lrs == {p: LR * (0.5 if p in deep else 1.0) for p in model.parameters()}
    assert groups[0]["initial_lr"] == LR


@pytest.mark.parametrize("name", sorted(OPTIMIZERS))
def test_complex_parameters_are_trained(name: str) -> None:
    class Spectral(Plain):
        def __init__(self) -> None:
            super().__init__()
            self.filters = nn.ParameterList([torch.ones(3, 2, 2, dtype=torch.complex64)])

        def forward(self, images: Tensor) -> Tensor:
            return super().forward((images * self.filters[0]).real)

    model = Spectral()
    learn(make_learner(model, ALONE, optimizer=name), make_batch(6), 0)
    assert (model.filters[0] != 1).any()
