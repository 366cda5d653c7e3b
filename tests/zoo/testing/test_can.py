from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from zoo.testing.checks.can import _are_close_in_bf16


class Amplifying(nn.Module):
    """Outputs 1000 times the difference between its weight and one; bf16 rounds to 0.4%."""

    def __init__(self, weight: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor([weight]))

    def forward(self, images: Tensor) -> Tensor:
        return 1000 * (images * self.weight - 1)


@pytest.mark.parametrize(
    ("weight", "factor", "close"),
    [
        (1.003, 0.0, True),  # Rounding the weight alone changes the logit completely, so arithmetic in bf16 may too.
        (1.003, -3.5, False),
        (1.5, 0.95, True),  # bf16 represents this weight exactly, so one tenth is allowed.
        (1.5, 0.5, False),
    ],
)
def test_logits_in_bf16_may_differ_by_a_multiple_of_the_difference_that_rounding_alone_causes(
    weight: float, factor: float, *, close: bool
) -> None:
    model, images = Amplifying(weight), torch.ones(1, 1)
    with torch.no_grad():
        wanted = model(images)
    backbone: Any = SimpleNamespace(network=SimpleNamespace(model=model), images=images)
    assert _are_close_in_bf16(wanted * factor, wanted, backbone) is close


def test_the_outputs_of_layers_are_rounded_too() -> None:
    model = nn.Sequential(nn.Linear(1, 1, bias=False), Amplifying(1.0))
    with torch.no_grad():
        model[0].weight.fill_(1.0)
        images = torch.full((1, 1), 1.003)
        wanted = model(images)
    backbone: Any = SimpleNamespace(network=SimpleNamespace(model=model), images=images)
    assert _are_close_in_bf16(torch.zeros_like(wanted), wanted, backbone)
