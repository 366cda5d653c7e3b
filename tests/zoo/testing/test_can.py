from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from zoo.testing.checks.can import _run_rounded, bf16
from zoo.testing.results.result import CannotCheck, CheckFailed


class Amplifying(nn.Module):
    """Outputs 1000 times the difference between its weight and one; bf16 rounds to 0.4%."""

    def __init__(self, weight: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor([weight]))

    def forward(self, images: Tensor) -> Tensor:
        return 1000 * (images * self.weight - 1)


def make_backbone(model: nn.Module, image: float) -> Any:
    return SimpleNamespace(network=SimpleNamespace(model=model), images=torch.full((2, 1), image))


def run_check(weight: float, factor: float) -> None:
    """Run the check on a network whose logits in bf16 are a multiple of those in fp32."""
    model = Amplifying(weight)
    backbone = make_backbone(model, 1.0)
    backbone.run = lambda images: model(images) * (factor if torch.is_autocast_enabled("cpu") else 1)
    bf16(backbone)


@pytest.mark.parametrize(("weight", "factor"), [(1.5, 0.95), (1.003, 0.95), (1.036, 0.75)])
def test_logits_in_bf16_may_differ_by_a_tenth_or_by_a_multiple_of_what_rounding_alone_causes(
    weight: float, factor: float
) -> None:
    run_check(weight, factor)


@pytest.mark.parametrize(("weight", "factor"), [(1.5, 0.5), (1.036, 0.5), (1.003, float("nan"))])
def test_larger_differences_are_refused(weight: float, factor: float) -> None:
    with pytest.raises(CheckFailed, match="in bf16, its logits differ"):
        run_check(weight, factor)


def test_a_network_that_amplifies_rounding_is_not_judged() -> None:
    with pytest.raises(CannotCheck, match="it amplifies rounding errors"):
        run_check(1.003, 0.5)


def test_the_outputs_of_layers_are_rounded_too() -> None:
    model = nn.Sequential(nn.Linear(1, 1, bias=False), Amplifying(1.0))
    nn.init.ones_(model[0].weight)
    assert _run_rounded(make_backbone(model, 1.003)).item() != pytest.approx(3, rel=0.1)


def test_rounding_leaves_the_network_as_it_is() -> None:
    model = Amplifying(1.003)
    _run_rounded(make_backbone(model, 1.0))
    assert model.weight.item() == pytest.approx(1.003, abs=1e-6)
