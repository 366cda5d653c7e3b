from __future__ import annotations

import re
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from zoo.testing.checks.forward import expect_logits
from zoo.testing.results.result import CheckFailed


class Net(nn.Module):
    """A network whose forward pass is a function."""

    def __init__(self, forward: Callable[[Tensor], object]) -> None:
        super().__init__()
        self._run = forward

    def forward(self, images: Tensor) -> object:
        return self._run(images)


@pytest.mark.parametrize(
    ("forward", "says"),
    [
        (
            lambda images: images.sum().item(),
            r"\(.*test_forward.py:\d+\); forward\(\) must not read the values of tensors",
        ),
        (lambda images: images[images > 0], r"forward\(\) must not read the values of tensors"),
        (lambda images: images.cpu(), r"forward\(\) must not read the values of tensors"),
        (lambda images: images + torch.ones(4), r"register every tensor of the model as a parameter or a buffer"),
        (lambda images: images.no_such_name, r"AttributeError: .*; fix forward\(\)"),
        (lambda images: (images, images), r"it returns a tuple; forward\(\) must return logits of shape \(2, 5\)"),
        (lambda images: images.reshape(7, -1), r"RuntimeError: .*; raise min_size"),
        (lambda images: images, r"it returns \(2, 3, 4, 4\) for images of shape .*; raise min_size"),
    ],
)
def test_the_advice_fits_the_reason_why_a_forward_pass_fails(forward: Callable[[Tensor], object], says: str) -> None:
    images = torch.empty(2, 3, 4, 4, device="meta")
    with pytest.raises(CheckFailed) as caught:
        expect_logits(Net(forward), images, 5, "in eval mode", "raise min_size")
    assert re.search(says, str(caught.value))
