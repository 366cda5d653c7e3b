from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from zoo.testing.checks.can import _are_close_in_bf16


class Amplifying(nn.Module):
    """Gives how far its weight is from one, many times over; bf16 cannot hold less than 0.4 % of it."""

    def __init__(self, weight: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor([weight]))

    def forward(self, images: Tensor) -> Tensor:
        return 1000 * (images * self.weight - 1)


@pytest.mark.parametrize(
    ("weight", "share", "close"),
    [
        (1.003, 0.0, True),  # rounding its weight takes all of the logit, so arithmetic in bf16 may as well
        (1.003, -3.5, False),
        (1.5, 0.95, True),  # bf16 holds this weight as it is: one tenth is allowed
        (1.5, 0.5, False),
    ],
)
def test_arithmetic_in_bf16_is_judged_by_what_rounding_does(weight: float, share: float, *, close: bool) -> None:
    model, images = Amplifying(weight), torch.ones(1, 1)
    with torch.no_grad():
        wanted = model(images)
    backbone: Any = SimpleNamespace(network=SimpleNamespace(model=model), images=images)
    assert _are_close_in_bf16(wanted * share, wanted, backbone) is close


def test_what_layers_give_is_rounded_too() -> None:
    model = nn.Sequential(nn.Linear(1, 1, bias=False), Amplifying(1.0))
    with torch.no_grad():
        model[0].weight.fill_(1.0)
        images = torch.full((1, 1), 1.003)
        wanted = model(images)
    backbone: Any = SimpleNamespace(network=SimpleNamespace(model=model), images=images)
    assert _are_close_in_bf16(torch.zeros_like(wanted), wanted, backbone)
