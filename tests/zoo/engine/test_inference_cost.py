from __future__ import annotations

import torch
from torch import Tensor, nn

from zoo.engine.device import choose_hardware
from zoo.engine.inference_cost import measure_cost

CPU = choose_hardware("cpu", "fp32")
#: Size of an image of 3 x 8 x 8 values in bytes.
IMAGE = 3 * 8 * 8 * 4


class Twice(nn.Module):
    """Returns the sum of two tensors of the size of its input, so that three of them exist at the same time."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1000))

    def forward(self, images: Tensor) -> Tensor:
        other = images * 2
        return other + images


class Chain(nn.Module):
    """Frees each tensor before the next but one is made."""

    def forward(self, images: Tensor) -> Tensor:
        for _ in range(10):
            images = images * 2
        return images


def test_the_memory_includes_the_parameters_and_the_tensors_that_exist_at_the_same_time() -> None:
    assert measure_cost(Twice(), (3, 8, 8), CPU).memory == 4000 + 3 * IMAGE


def test_freed_tensors_do_not_count() -> None:
    assert measure_cost(Chain(), (3, 8, 8), CPU).memory == 3 * IMAGE


def test_the_speed_is_positive_and_the_model_is_in_eval_mode() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(192, 2), nn.Dropout())
    assert measure_cost(model.train(), (3, 8, 8), CPU).images_per_second > 0
    assert not model.training
