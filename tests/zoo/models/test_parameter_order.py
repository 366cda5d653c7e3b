from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from zoo.models.parameter_order import FirstUses, first_uses

SIZE = (2, 4, 4)


class Net(nn.Module):
    """A model that uses its parameters in a different order than it defines them, some directly, and one never."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(2)
        self.unused = nn.Linear(2, 2)
        self.token = nn.Parameter(torch.zeros(1, 1, 2))
        self.embed = nn.Conv2d(2, 2, 1, bias=False)
        self.position = nn.Parameter(torch.zeros(1, 17, 2))
        self.mix = nn.Linear(2, 2, bias=False)

    def forward(self, images: Tensor) -> Tensor:
        assert self.token.shape[-1] == self.unused.weight.size(0) == 2  # reading a shape is not a use
        features = self.embed(images).flatten(2).transpose(1, 2)
        features = torch.cat([self.token.expand(len(images), -1, -1), features], dim=1)
        features = features + self.position
        features = functional.linear(features, self.mix.weight)
        features = self.norm(features)
        return functional.linear(features, self.mix.weight)[:, 0]


@pytest.fixture
def model() -> nn.Module:
    with torch.device("meta"):
        return Net()


def name_uses(model: nn.Module, order: dict[int, int]) -> list[str]:
    """Return the names of the parameters in the order of their use."""
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    return [names[parameter] for parameter in sorted(order, key=order.__getitem__)]


def test_parameters_are_in_the_order_of_their_first_use(model: nn.Module) -> None:
    order = first_uses(model, SIZE)
    assert name_uses(model, order) == ["embed.weight", "token", "position", "mix.weight", "norm.weight", "norm.bias"]
    assert sorted(order.values()) == list(range(6))


def test_an_unused_parameter_has_no_position(model: nn.Module) -> None:
    assert id(model.get_parameter("unused.weight")) not in first_uses(model, SIZE)


def test_the_model_is_traced_in_eval_mode(model: nn.Module) -> None:
    first_uses(model.train(), SIZE)
    assert not model.training


@pytest.mark.parametrize(
    "use",
    [
        pytest.param(lambda weight: torch.cat([torch.zeros(1), weight]), id="in-a-list"),
        pytest.param(lambda weight: torch.cat(tensors=(torch.zeros(1), weight)), id="by-keyword"),
        pytest.param(lambda weight: torch.zeros(1) + weight, id="operator"),
        pytest.param(lambda weight: weight[0], id="index"),
        pytest.param(lambda weight: weight.expand(2), id="method"),
    ],
)
def test_passing_a_parameter_to_any_function_is_a_use(use: object) -> None:
    weight = nn.Parameter(torch.ones(1))
    with FirstUses([weight]) as uses:
        assert callable(use)
        use(weight)
    assert uses.order == {id(weight): 0}


@pytest.mark.parametrize(
    "read",
    [
        pytest.param(lambda weight: weight.shape, id="shape"),
        pytest.param(lambda weight: weight.dtype, id="dtype"),
        pytest.param(lambda weight: weight.size(0), id="size"),
        pytest.param(lambda weight: weight.dim(), id="dim"),
        pytest.param(lambda weight: weight.numel(), id="numel"),
    ],
)
def test_reading_metadata_of_a_parameter_is_not_a_use(read: object) -> None:
    weight = nn.Parameter(torch.ones(1))
    with FirstUses([weight]) as uses:
        assert callable(read)
        read(weight)
    assert uses.order == {}
