"""A traced forward pass records which modules run, and changes nothing."""

from __future__ import annotations

from contextlib import suppress

import pytest
import torch
from torch import Tensor, nn

from zoo.models.trace import CannotTrace, trace
from zoo.plugin import BackboneSpec


class Twice(nn.Module):
    """A network that calls one layer twice and another one never."""

    def __init__(self) -> None:
        super().__init__()
        self.unused = nn.Linear(4, 4)
        self.norm = nn.BatchNorm1d(4)
        self.layer = nn.Linear(4, 4)

    def forward(self, images: Tensor) -> Tensor:
        values: Tensor = self.norm(self.layer(self.layer(images.flatten(1))))
        return values


class Branching(nn.Module):
    """A network whose forward pass depends on values, so that it cannot run on the meta device; it counts its calls."""

    count: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 2)
        self.register_buffer("count", torch.zeros(()))

    def forward(self, images: Tensor) -> Tensor:
        self.count += 1
        values: Tensor = self.layer(images.flatten(1))
        return values if values.sum().item() > 0 else -values


IMAGES = torch.zeros(2, 1, 2, 2)


def test_calls_shapes_and_the_order_are_recorded() -> None:
    model = Twice()
    found = trace(model, IMAGES)
    assert [found.calls.get(module, 0) for module in (model.layer, model.norm, model.unused)] == [2, 1, 0]
    assert found.shapes[model.layer] == ((2, 4),)
    assert [*found.order] == [model, model.layer, model.norm]
    assert [*found.uses] == ["layer.weight", "layer.bias", "norm.weight", "norm.bias"]


def test_a_model_whose_forward_pass_depends_on_values_runs_with_values() -> None:
    model = Branching()
    assert trace(model, IMAGES).calls
    assert model.count == 0


def test_a_model_that_cannot_process_the_images_is_refused_with_the_reason() -> None:
    with pytest.raises(CannotTrace, match=r"RuntimeError: .*shapes"):
        trace(Twice(), torch.zeros(1, 3, 8, 8))


@pytest.mark.parametrize("images", [IMAGES, torch.zeros(1, 3, 8, 8)], ids=["works", "fails"])
def test_a_trace_changes_nothing(images: Tensor) -> None:
    model = Twice()
    model.norm.eval()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    generator = torch.get_rng_state()
    with suppress(CannotTrace):
        trace(model, images)
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert [module.training for module in model.modules()] == [True, True, False, True]
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())
    assert torch.equal(torch.get_rng_state(), generator)


def test_parameters_are_not_copied_to_run_on_the_meta_device(acme: BackboneSpec) -> None:
    model = acme.build(None)
    output = trace(model, torch.zeros(1, 3, 16, 16)).output
    assert isinstance(output, Tensor)
    assert output.is_meta
    assert not any(parameter.is_meta for parameter in model.parameters())
